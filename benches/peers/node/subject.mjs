// This file plays one piece of work on one queue written for Node, as `subject/src` does for Rust.
import { readFileSync } from 'node:fs';

const names = ['--dir', '--url', '--callers', '--seconds', '--jobs', '--classes', '--rate'];

export function readArguments() {
  const [peer, mode, work, ...rest] = process.argv.slice(2);
  const read = { peer, mode, work, callers: 64, seconds: 3, jobs: 10000, classes: 1, rate: 50 };
  for (let i = 0; i < rest.length; i += 2) {
    if (!names.includes(rest[i])) throw new Error(`no flag ${rest[i]}`);
    const value = rest[i + 1];
    read[rest[i].slice(2)] = /^\d+$/.test(value) ? Number(value) : value;
  }
  return { ...read, reopen: work === 'ready' };
}

export const queueOf = (job) => `class-${job.class}`;
export const payloadOf = (job) => ({ number: job.number, text: 'x'.repeat(100) });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const micros = () => Number(process.hrtime.bigint() / 1000n);

class Seen {
  constructor(goal) { Object.assign(this, { goal, count: 0, submitted: [], begun: [] }); }
  submitting(number) { this.submitted[number] = micros(); }
  started(number) {
    if (this.submitted[number] !== undefined) this.begun[number] = micros();
    this.count += 1;
  }
  async all() { while (this.count < this.goal) await sleep(1); }
  latencies() {
    return this.submitted.map((at, n) => this.begun[n] - at).sort((a, b) => a - b);
  }
}

function figures(jobs, ms, spans) {
  const at = (percent) => spans[Math.min(Math.floor((spans.length * percent) / 100), spans.length - 1)];
  return { jobs, seconds: ms / 1000, rate: (jobs / ms) * 1000, p50_us: at(50) ?? null, p99_us: at(99) ?? null };
}

async function submitBulk(peer, jobs, classes) {
  for (let from = 0; from < jobs; from += 10000) {
    const some = [];
    for (let number = from; number < Math.min(from + 10000, jobs); number += 1) some.push({ number, class: number % classes });
    await peer.submitAll(some);
  }
}

async function untilDone(peer, seen, own, all) {
  await seen.all();
  while ((await peer.done(all)) < own) await sleep(2);
}

const works = {
  async submit(peer, { callers, seconds }) {
    const spans = [];
    let next = 0;
    const began = performance.now();
    await Promise.all(Array.from({ length: callers }, async () => {
      while (performance.now() - began < seconds * 1000) {
        const at = micros();
        await peer.submit({ number: next++, class: 0 });
        spans.push(micros() - at);
      }
    }));
    const took = performance.now() - began;
    return figures(spans.length, took, spans.sort((a, b) => a - b));
  },
  async bulk(peer, { jobs }) {
    const began = performance.now();
    await submitBulk(peer, jobs, 1);
    return figures(jobs, performance.now() - began, []);
  },
  async cycle(peer, { jobs, callers }) {
    const seen = new Seen(jobs);
    await peer.work(0, seen);
    let next = 0;
    const began = performance.now();
    await Promise.all(Array.from({ length: callers }, async () => {
      while (next < jobs) await peer.submit({ number: next++, class: 0 });
    }));
    await untilDone(peer, seen, jobs, jobs);
    return figures(jobs, performance.now() - began, []);
  },
  async drain(peer, { jobs }) {
    await submitBulk(peer, jobs, 1);
    const seen = new Seen(jobs);
    const began = performance.now();
    await peer.work(0, seen);
    await untilDone(peer, seen, jobs, jobs);
    return figures(jobs, performance.now() - began, []);
  },
  async latency(peer, { rate, seconds }) {
    const jobs = rate * seconds;
    const seen = new Seen(jobs);
    await peer.work(0, seen);
    await sleep(500);
    const began = performance.now();
    const submissions = [];
    for (let number = 0; number < jobs; number += 1) {
      await sleep(Math.max(0, began + (number * 1000) / rate - performance.now()));
      seen.submitting(number);
      submissions.push(peer.submit({ number, class: 0 }));
    }
    await Promise.all(submissions);
    await seen.all();
    return figures(jobs, performance.now() - began, seen.latencies());
  },
  async backlog(peer, { jobs, classes }) {
    let began = performance.now();
    await submitBulk(peer, jobs, classes);
    const filled = (performance.now() - began) / 1000;
    const own = Math.floor(jobs / classes);
    const seen = new Seen(own);
    began = performance.now();
    await peer.work(0, seen);
    await untilDone(peer, seen, own, jobs);
    return { ...figures(own, performance.now() - began, []), filled_s: filled };
  },
  async ready(peer, { began, jobs }) {
    const seen = new Seen(1);
    await peer.work(0, seen);
    await peer.submit({ number: jobs, class: 0 });
    await seen.all();
    return { ready_s: (performance.now() - began) / 1000 };
  },
};

function memory() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = (name) => Number(status.match(new RegExp(`${name}:\\s+(\\d+)`))[1]);
  return { rss_kib: field('VmRSS'), rss_max_kib: field('VmHWM') };
}

export async function run(open) {
  const args = readArguments();
  args.began = performance.now();
  const peer = await open(args);
  const work = works[args.work];
  if (!work) throw new Error(`no work ${args.work}`);
  console.log(JSON.stringify({ ...(await work(peer, args)), ...memory() }));
  process.stdin.on('end', () => process.exit(0)).resume();
}
