/** inotify(7): what others change in a directory. Watches belong to one descriptor. */
import { glibc, PathScratch, result } from './library.js';
import { read } from './libc.js';

export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_UNMOUNT = 0x2000;
/** Events were lost. */
export const IN_Q_OVERFLOW = 0x4000;
/** The watch is gone. */
export const IN_IGNORED = 0x8000;
export const IN_ONLYDIR = 0x1000000;
/** No events of files that have no name any more. */
export const IN_EXCL_UNLINK = 0x4000000;

const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;

const callInit: (flags: number) => number = glibc.func('int inotify_init1(int)');
const callAdd: (fd: number, path: Uint8Array, mask: number) => number = glibc.func(
  'int inotify_add_watch(int, void *, uint32_t)',
);
const callRemove: (fd: number, watch: number) => number = glibc.func(
  'int inotify_rm_watch(int, int)',
);

const scratch = new PathScratch();
/** One reading is a piece of work: some hundreds of events. */
const buffer = Buffer.alloc(16 * 1024);
/** struct inotify_event: watch, mask, cookie, length (32 bits each), name. */
const NAME_AT = 16;

export interface WatchEvent {
  watch: number;
  mask: number;
  /** A byte string; '': the watched directory itself. */
  name: string;
}

/** A descriptor that never blocks, or -errno. */
export function inotify(): number {
  return result(callInit(IN_CLOEXEC | IN_NONBLOCK));
}

/** `path`: a byte string. The number of the watch, or -errno: -ENOSPC when the user has too many. */
export function addWatch(fd: number, path: string, mask: number): number {
  const failed = scratch.set(path);
  return failed < 0 ? failed : result(callAdd(fd, scratch.bytes, mask));
}

export function removeWatch(fd: number, watch: number): number {
  return result(callRemove(fd, watch));
}

/** The next events, at most a buffer full; none: nothing has happened. */
export function readEvents(fd: number): WatchEvent[] {
  const events: WatchEvent[] = [];
  const filled = read(fd, buffer, buffer.length);
  for (let at = 0; at < filled; ) {
    const length = buffer.readUInt32LE(at + 12);
    const padded = buffer.toString('latin1', at + NAME_AT, at + NAME_AT + length);
    const end = padded.indexOf('\0');
    events.push({
      watch: buffer.readInt32LE(at),
      mask: buffer.readUInt32LE(at + 4),
      name: end < 0 ? padded : padded.slice(0, end),
    });
    at += NAME_AT + length;
  }
  return events;
}
