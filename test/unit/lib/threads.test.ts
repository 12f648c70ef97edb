/** Processes that end while a thread of theirs starts, has just started, or is at work. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const SLOW_START = join(process.cwd(), 'test/mount/fixtures/slow-start.cjs');
const TIMES = 20;
const directory = t.testdir({});
let files = 0;

interface Ended {
  code: number | null;
  signal: string | null;
  err: string;
  tookMs: number;
}

/** Runs the script with `threads`, `startThread` of the occupier and `pause` at hand. */
function run(script: string, env: Record<string, string> = {}): Promise<Ended> {
  const dist = (name: string): string => JSON.stringify(join(process.cwd(), 'dist', name));
  const prelude = `
    import * as threads from ${dist('lib/threads.js')};
    const words = new Int32Array(new SharedArrayBuffer(12));
    const start = (data = words, tell, isUncut = false) =>
      threads.startThread(new URL('file://' + ${dist('fuse/cpu/occupier-thread.js')}), { data, tell, isUncut });
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  `;
  const startMs = performance.now();
  // By a program that is not Node.js: the test runner's hooks stay out.
  const words = [`NODE_OPTIONS=--require ${SLOW_START}`, process.execPath];
  const file = join(directory, `${++files}.mjs`);
  writeFileSync(file, prelude + script);
  const child = spawn('env', [...words, file], {
    env: {
      PATH: process.env['PATH'],
      SLOW_THREADS: 'occupier-thread',
      SLOW_MS: '100',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 60_000,
  });
  const err: Buffer[] = [];
  child.stderr.on('data', (data: Buffer) => err.push(data));
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      const tookMs = performance.now() - startMs;
      resolve({ code, signal, err: Buffer.concat(err).toString(), tookMs });
    });
  });
}

t.test('the end waits for a thread that starts', async (t) => {
  const ends: Ended[] = [];
  let slow = 0;
  // Before, in and after the time that the thread takes to load native code.
  for (let n = 0; n < TIMES; n++) {
    ends.push(
      await run(`
        start().unref();
        await pause(${(n / TIMES) * 300});
        await threads.endThreads(1000);
        process.exit(0);`),
    );
    if (ends.at(-1)?.err.includes('slow start of occupier-thread.js') === true) slow++;
  }
  t.same(
    ends.filter(({ code }) => code !== 0),
    [],
  );
  t.equal(slow, TIMES, 'each of them was up before it ended');
});

t.test('a process that must not wait ends with _exit, also while a thread starts', async (t) => {
  const { code, err } = await run(`
    import { exitNow } from ${JSON.stringify(join(process.cwd(), 'dist/libc/libc.js'))};
    start();
    await pause(100);
    exitNow(7);`);
  t.equal(code, 7, err);
});

t.test('a thread that must not be cut off is left, and the process is told', async (t) => {
  const left = await run(`
    import { exitNow } from ${JSON.stringify(join(process.cwd(), 'dist/libc/libc.js'))};
    start(words, undefined, true);
    await pause(500);
    const areGone = await threads.endThreads(60_000);
    process.once('exit', () => exitNow(areGone ? 8 : 9));
    process.exit(0);`);
  t.equal(left.code, 9, left.err);
  t.ok(left.tookMs < 20_000, `${left.tookMs} ms`);
});

t.test(
  'a thread that fails before it is up, one that ends when told, one that does not',
  async (t) => {
    const failing = await run(`
    threads.startThread(new URL('file:///nowhere/at-all.js'), { data: 0 }).unref();
    await threads.endThreads(1000);
    process.exit(3);`);
    t.equal(failing.code, 3, failing.err);
    t.ok(failing.tookMs < 8_000, `${failing.tookMs} ms`);
    // The occupier ends its work by itself only when it may not be of the idle class.
    const deaf = await run(`
    let told = 0;
    start(words, () => told++);
    await threads.endThreads(300);
    process.exit(10 + told);`);
    t.equal(deaf.code, 11, deaf.err);
    const over = await run(`
    await threads.endThreads(10);
    try { start(); } catch (error) { process.exit(/no thread is started/.test(error.message) ? 4 : 5); }`);
    t.equal(over.code, 4, over.err);
  },
);

t.test('what a thread posts at its end is heard, though its exit may come first', async (t) => {
  const ended = await run(
    `
    import { MessageChannel } from 'node:worker_threads';
    const code = \`
      import { workerData } from 'node:worker_threads';
      const { port } = workerData.data;
      port.on('message', () => { port.postMessage('ended'); port.close(); });
    \`;
    let early = 0;
    for (let n = 0; n < 150; n++) {
      const { port1, port2 } = new MessageChannel();
      const url = new URL('data:text/javascript,' + encodeURIComponent(code));
      const worker = threads.startThread(url, { data: { port: port2 }, transferList: [port2] });
      let heard = 0;
      port1.on('message', () => heard++);
      port1.postMessage('stop');
      await new Promise((resolve) => worker.once('exit', resolve));
      if (heard === 0) early++;
      threads.handlePosted(port1, () => heard++);
      port1.close();
      if (heard !== 1) throw new Error('heard ' + heard + ' times');
    }
    process.stderr.write('exits that came first: ' + early);
  `,
    { SLOW_THREADS: 'none' },
  );
  t.equal(ended.code, 0, ended.err);
  t.match(ended.err, /^exits that came first: \d+$/);
});
