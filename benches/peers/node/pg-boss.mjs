// This file is pg-boss, on PostgreSQL.
import * as boss from 'pg-boss';
import { payloadOf, queueOf, run } from './subject.mjs';

const PgBoss = boss.PgBoss ?? boss.default;

await run(async ({ url, mode, classes }) => {
  const queue = new PgBoss({ connectionString: url, max: 20 });
  queue.on('error', (error) => console.error(error.message));
  await queue.start();
  for (let number = 0; number < classes; number += 1) await queue.createQueue(`class-${number}`);
  let completed = 0;
  return {
    async submit(job) { await queue.send(queueOf(job), payloadOf(job)); },
    async submitAll(jobs) {
      const names = [...new Set(jobs.map(queueOf))];
      for (const name of names) {
        const own = jobs.filter((job) => queueOf(job) === name);
        for (let from = 0; from < own.length; from += 1000) {
          const some = own.slice(from, from + 1000);
          await queue.insert(name, some.map((job) => ({ data: payloadOf(job) })));
        }
      }
    },
    async work(number, seen) {
      // Fetched and completed by hand: its own `work` polls at most twice a second.
      const name = `class-${number}`;
      const batchSize = mode === 'batch' ? 100 : 1;
      const loop = async () => {
        for (;;) {
          const jobs = await queue.fetch(name, { batchSize });
          if (!jobs.length) { await new Promise((resolve) => setTimeout(resolve, 5)); continue; }
          for (const job of jobs) seen.started(job.data.number);
          await queue.complete(name, jobs.map((job) => job.id));
          completed += jobs.length;
        }
      };
      for (let loops = 0; loops < 8; loops += 1) loop().catch((error) => { console.error(error); process.exit(1); });
    },
    async done() { return completed; },
  };
});
