// This file is BullMQ, on Redis; the server's `appendfsync` decides how durable it is.
import { Queue, Worker } from 'bullmq';
import { payloadOf, queueOf, run } from './subject.mjs';

await run(async ({ url, mode }) => {
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port), maxRetriesPerRequest: null };
  const queues = new Map();
  const queueFor = (name) => {
    if (!queues.has(name)) queues.set(name, new Queue(name, { connection }));
    return queues.get(name);
  };
  let completed = 0;
  return {
    async submit(job) {
      await queueFor(queueOf(job)).add('nothing', payloadOf(job));
    },
    async submitAll(jobs) {
      const byQueue = Map.groupBy ? Map.groupBy(jobs, queueOf) : groupBy(jobs, queueOf);
      for (const [name, own] of byQueue) {
        for (let from = 0; from < own.length; from += 1000) {
          const some = own.slice(from, from + 1000);
          await queueFor(name).addBulk(some.map((job) => ({ name: 'nothing', data: payloadOf(job) })));
        }
      }
    },
    async work(number, seen) {
      const concurrency = mode === 'batch' ? 100 : 8;
      const worker = new Worker(`class-${number}`, async (job) => seen.started(job.data.number), { connection, concurrency });
      worker.on('completed', () => { completed += 1; });
      await worker.waitUntilReady();
    },
    async done() { return completed; },
  };
});

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}
