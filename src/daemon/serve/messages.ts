/** What the main thread and the serving thread of a mount say to each other. */
import { CommandError, ERRNO, type ErrnoName, FsError, messageOf } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import type { HelperPorts } from '../../fuse/helpers/helper-client.js';
import type { MessagePort } from 'node:worker_threads';
import type { WriterData } from '../../volume/commit/start-writer.js';
import type { InspectRequest } from '../commands/commands.js';
import type { MountPlan } from '../mount/mount-plan.js';
import type { FromSync, ToSync } from '../peers/connections-calls.js';

/** `workerData` of the serving thread. */
export interface ServeData {
  plan: MountPlan;
  port: MessagePort;
  helpers: HelperPorts;
  /** Signalled after each message to the serving thread, which sleeps in poll(2). */
  wakeFd: number;
  uid: number;
  gid: number;
}

export type ToServer =
  /** The FUSE descriptors of the two mounts. */
  | { kind: 'mounted'; fd: number; controlFd: number }
  /** fuse-native mounts in the thread that serves. */
  | { kind: 'mount' }
  /** SIGUSR2: save under a name made from the time. */
  | { kind: 'save' }
  /** Store everything that programs have written, for an unmount. */
  | { kind: 'store' }
  /** End, whether the mount is gone or not. */
  | { kind: 'stop' }
  | { kind: 'sync'; message: FromSync }
  | { kind: 'inspect-progress'; done: number; total: number }
  | { kind: 'inspected'; id: number; answer?: Answer; error?: PlainError };

export type FromServer =
  /** The volume and its base are open: now the mounts may cover the base. */
  | { kind: 'opened' }
  /** The kernel and the volume's mount have agreed. */
  | { kind: 'ready' }
  | { kind: 'failed'; error: PlainError }
  | { kind: 'stored'; error?: PlainError }
  | { kind: 'inspect'; id: number; request: InspectRequest }
  /** The volume's writer thread is wanted, in a thread that hears of its end. */
  | { kind: 'start-writer'; data: WriterData }
  | { kind: 'sync'; message: ToSync }
  /** The mount is gone and everything is stored, or `error` says why not. */
  | { kind: 'ended'; error?: PlainError };

/** An error as data, for threads and processes. */
export interface PlainError {
  code: string;
  errno: string;
  message: string;
  details: Record<string, unknown>;
}

export function toPlainError(error: unknown): PlainError {
  if (error instanceof CommandError) {
    const { code, errno, message, details } = error;
    return { code, errno, message, details };
  }
  if (error instanceof FsError) {
    return { code: 'file-system-error', errno: error.code, message: error.message, details: {} };
  }
  const message = messageOf(error);
  return { code: 'internal-error', errno: 'EIO', message, details: {} };
}

export function fromPlainError({ code, errno, message, details }: PlainError): CommandError {
  const known = Object.hasOwn(ERRNO, errno) ? (errno as ErrnoName) : 'EIO';
  return new CommandError(code, known, message, details);
}
