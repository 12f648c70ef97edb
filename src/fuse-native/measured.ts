/**
 * Counts and times the package's calls, from the event loop's callback to the
 * answer, and reports them to a trace while one is active. The time before
 * (libfuse's threads, the event loop's queue) is not measured.
 */
import { performance } from 'node:perf_hooks';
import type { Operation, Signal } from 'fuse-native';
import { RequestCounts } from '../measure/request-counts.js';
import type { TraceSink } from '../measure/trace-entry.js';
import { bytesOfText } from './names.js';

/** The package's operations by the kernel's names. */
const NAMES: Readonly<Record<string, string>> = {
  getattr: 'GETATTR',
  fgetattr: 'GETATTR',
  access: 'ACCESS',
  readlink: 'READLINK',
  statfs: 'STATFS',
  readdir: 'READDIR',
  open: 'OPEN',
  opendir: 'OPENDIR',
  create: 'CREATE',
  read: 'READ',
  write: 'WRITE',
  flush: 'FLUSH',
  fsync: 'FSYNC',
  fsyncdir: 'FSYNCDIR',
  release: 'RELEASE',
  releasedir: 'RELEASEDIR',
  chmod: 'SETATTR',
  chown: 'SETATTR',
  utimens: 'SETATTR',
  truncate: 'SETATTR',
  ftruncate: 'SETATTR',
  mknod: 'MKNOD',
  mkdir: 'MKDIR',
  symlink: 'SYMLINK',
  link: 'LINK',
  unlink: 'UNLINK',
  rmdir: 'RMDIR',
  rename: 'RENAME',
  setxattr: 'SETXATTR',
  getxattr: 'GETXATTR',
  listxattr: 'LISTXATTR',
  removexattr: 'REMOVEXATTR',
};
const KINDS = [...new Set(Object.values(NAMES)), 'OTHER'];
const TWO_PATHS: ReadonlySet<string> = new Set(['rename', 'link']);

export class MeasuredCalls {
  readonly counts = new RequestCounts(KINDS);
  /** Set while a trace is followed. */
  trace: TraceSink | undefined;

  /** The operation, measured. */
  wrap(name: string, operation: Operation): Operation {
    const op = NAMES[name] ?? 'OTHER';
    const kind = KINDS.indexOf(op);
    return (signal, ...args) => {
      const startMs = performance.now();
      let isAtHand = true;
      let isAnswered = false;
      const measured: Signal = (result, ...values) => {
        signal(result, ...values);
        isAnswered = true;
        const ms = performance.now() - startMs;
        const isError = result < 0;
        if (isAtHand) this.counts.served(kind, isError, ms);
        else this.counts.late(kind, isError, ms);
        if (result > 0 && name === 'read') this.counts.readBytes += result;
        if (result > 0 && name === 'write') this.counts.writtenBytes += result;
        if (this.trace !== undefined) this.#note(this.trace, name, op, args, result, ms);
      };
      operation(measured, ...args);
      isAtHand = false;
      if (!isAnswered) this.counts.begun(kind, performance.now() - startMs);
    };
  }

  #note(
    trace: TraceSink,
    name: string,
    op: string,
    args: readonly unknown[],
    result: number,
    tookMs: number,
  ): void {
    const errno = result < 0 ? -result : 0;
    if (!trace.wants(op, tookMs, errno)) return;
    const [first, second] = args;
    const hasTwo = TWO_PATHS.has(name) && typeof second === 'string';
    trace.note({
      timeMs: Date.now(),
      op,
      path: belowRoot(first),
      ...(hasTwo && { newPath: belowRoot(second) }),
      // The package does not report the caller.
      pid: 0,
      errno,
      ...(result > 0 && { sizeBytes: result }),
      tookMs,
    });
  }
}

/** libfuse's paths begin with a slash, and are text. */
function belowRoot(path: unknown): string {
  return typeof path === 'string' ? bytesOfText(path.replace(/^\//, '')) : '';
}
