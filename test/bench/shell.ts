/** Child processes of the benchmark: each is waited for, and each must succeed. */
import { spawn, type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const OUTPUT_MAX_BYTES = 256 * 1024 * 1024;
const TIMEOUT_MS = 600_000;

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Exit codes that are fine (default: 0). */
  codes?: readonly number[];
}

/** Runs the command and returns what it printed. Throws when it fails. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): string {
  const how: SpawnSyncOptions = {
    cwd: options.cwd ?? '/',
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: OUTPUT_MAX_BYTES,
    timeout: TIMEOUT_MS,
  };
  const done = spawnSync(command, args, how);
  if (done.error !== undefined) throw done.error;
  if (!(options.codes ?? [0]).includes(done.status ?? -1)) {
    const said = `${String(done.stderr)}${String(done.stdout)}`.trim().slice(0, 2000);
    throw new Error(`${command} ${args.join(' ')}: exit ${done.status ?? done.signal}: ${said}`);
  }
  return String(done.stdout);
}

/** Runs the command; false when it fails. */
export function succeeds(command: string, args: readonly string[]): boolean {
  try {
    run(command, args);
    return true;
  } catch {
    return false;
  }
}

/** Runs the command as `run` does: wall-clock ms, the start of the process included. */
export function timed(command: string, args: readonly string[], options: RunOptions = {}): number {
  const start = process.hrtime.bigint();
  run(command, args, options);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

/** Runs a job of child/io-child.ts; what it answers, its own measure of time included. */
export function child(job: string, ...args: (string | number)[]): Record<string, unknown> {
  const script = fileURLToPath(new URL('child/io-child.js', import.meta.url));
  const output = run(process.execPath, [script, job, ...args.map(String)]);
  return JSON.parse(output) as Record<string, unknown>;
}

/** The same beside others: the answer comes when the job is done. */
export function childBeside(
  job: string,
  ...args: (string | number)[]
): Promise<Record<string, unknown>> {
  const script = fileURLToPath(new URL('child/io-child.js', import.meta.url));
  const started = spawn(process.execPath, [script, job, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  started.stdout.on('data', (data) => (output += String(data)));
  return new Promise((resolve, reject) => {
    started.once('error', reject);
    started.once('exit', (status) => {
      if (status === 0) resolve(JSON.parse(output) as Record<string, unknown>);
      else reject(new Error(`${job} ${args.join(' ')}: exit ${status}`));
    });
  });
}

/** A job that measures itself, without its start-up: ms. */
export function childMs(job: string, ...args: (string | number)[]): number {
  return Number(child(job, ...args)['ms']);
}

/** Lets signals in: waiting for a child keeps them out. */
export function interruptible(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
