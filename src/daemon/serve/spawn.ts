/**
 * Starts the process that serves a mount in the background and waits until the
 * mount is ready. The two talk over the child's IPC channel, which is closed
 * once the child has reported the result.
 */
import { spawn } from 'node:child_process';
import { closeSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CommandError, messageOf } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { END_SIGNALS, mountInterrupted } from './interrupted.js';
import { openLog } from './log.js';
import { fromPlainError, type PlainError } from '../calls/plain-error.js';
import type { OpenedFacts } from './messages.js';
import type { MountPlan } from '../mount/mount-plan.js';

export type { OpenedFacts };

export type Handshake =
  | { kind: 'ready'; volume: OpenedFacts }
  | { kind: 'failed'; error: PlainError };

const LOG_TAIL_BYTES = 2000;

/**
 * Settles when the mount is ready. Throws the child's CommandError. Passes a signal that ends this
 * process on to the child, waits for the child, and throws `mount-interrupted`; then the mount is
 * gone.
 */
export async function serveInBackground(plan: MountPlan): Promise<OpenedFacts> {
  const logFd = openLogOrSay(plan.log);
  const { size } = statSync(plan.log);
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./serve-process.js', import.meta.url))],
    {
      detached: true,
      // In the background the process must keep no file system busy but its own mount.
      cwd: '/',
      stdio: ['ignore', logFd, logFd, 'ipc'],
      serialization: 'advanced',
    },
  );
  closeSync(logFd);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  let interruption: string | undefined;
  let isDecided = false;
  for (const signal of END_SIGNALS) {
    process.on(signal, () => {
      // It stays mounted, and this process reports that.
      if (isDecided) return;
      interruption ??= signal;
      child.kill(signal);
    });
  }
  failpoint('spawn:started');
  const answer = await new Promise<Handshake>((resolve) => {
    child.once('message', (message) => resolve(message as Handshake));
    child.once('error', (error) =>
      resolve(died(`it can't be started: ${error.message}`, plan, size)),
    );
    child.once('exit', (code, signal) =>
      // A message sent just before the end may still be on its way.
      setImmediate(() => resolve(died(`it ended with ${signal ?? code}`, plan, size))),
    );
    child.send(plan, (error) => {
      if (error !== null) resolve(died(error.message, plan, size));
    });
  });
  failpoint('spawn:answered');
  // The event loop delivers a recent signal in its next turn.
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  isDecided = interruption === undefined;
  if (interruption !== undefined) {
    await ended;
    throw mountInterrupted(interruption, plan.mountpoint);
  }
  if (child.connected) child.disconnect();
  child.unref();
  if (answer.kind === 'failed') throw fromPlainError(answer.error);
  return answer.volume;
}

function openLogOrSay(path: string): number {
  try {
    return openLog(path);
  } catch (error) {
    throw new CommandError(
      'state-unusable',
      'EACCES',
      `the log ${path} can't be written: ${messageOf(error)}`,
    );
  }
}

function died(how: string, plan: MountPlan, logStart: number): Handshake {
  const tail = readFileSync(plan.log)
    .subarray(logStart)
    .subarray(-LOG_TAIL_BYTES)
    .toString()
    .trim();
  const message = `the serving process failed: ${how}; see ${plan.log}${tail === '' ? '' : `\n${tail}`}`;
  return { kind: 'failed', error: { code: 'daemon-failed', errno: 'EIO', message, details: {} } };
}
