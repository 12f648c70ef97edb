/**
 * The calls about one file: content, size and attributes. An open file is its
 * node, even after a rename.
 */
import { S_IFMT } from '../lib/file-mode.js';
import { after } from '../lib/deferred.js';
import type { AttributeChanges } from '../tree/operations.js';
import type { Operation, Signal } from 'fuse-native';
import type { Answer } from './answering.js';
import { NO_UMASK, type NativeContext, plain } from './context.js';
import { refuseMangled, splitPath } from './names.js';

/** chown's value for "leave it unchanged". */
const UNCHANGED = 0xffff_ffff;
const HALF = 2 ** 32;

const long = (low: number, high: number): number => low + high * HALF;

/** A time of the package: whole milliseconds. */
const time = (ms: number): { s: number; ns: number } => ({
  s: Math.floor(ms / 1000),
  ns: (ms % 1000) * 1_000_000,
});

export function fileOperations(context: NativeContext): Record<string, Operation> {
  const caller = context.caller;
  const ops = context.ops;
  const opened = (signal: Signal): Answer<number> => ({
    done: (handle) => signal(0, handle),
    failed: (errno) => signal(-errno),
  });
  /** The buffer is returned with the answer: it is libfuse's memory. */
  const bytes = (signal: Signal, buffer: Buffer): Answer<number> => ({
    done: (count) => signal(count, count, buffer.buffer),
    failed: (errno) => signal(-errno, 0, buffer.buffer),
  });
  const setting = (signal: Signal, path: string, handle: number, changes: AttributeChanges) =>
    context.answering.change<unknown>(() => {
      const file = context.files.get(handle);
      if (file !== undefined) return ops.setattr(caller, file.node, changes, file.fh);
      return context.at(path, (node) => ops.setattr(caller, node, changes, undefined));
    }, plain(signal));
  return {
    open: (signal, path: string, flags: number) =>
      context.answering.run(() => openFile(context, path, flags), opened(signal)),
    create: (signal, path: string, mode: number) =>
      context.answering.change(() => {
        refuseMangled(splitPath(path).name, 'open');
        const { node, name } = context.paths.parent(path);
        const { entry, opened } = ops.create(caller, node, name, mode, 0, NO_UMASK);
        const handle = context.files.add(entry.nodeId, opened.fh, false);
        remember(context, path);
        return handle;
      }, opened(signal)),
    release: (signal, _path: string, handle: number) =>
      context.answering.run<void>(
        () => context.files.remove(handle, (node) => context.paths.dropHidden(node)),
        plain(signal),
      ),
    flush: (signal, _path: string, handle: number) =>
      context.answering.run<unknown>(() => {
        const file = context.files.get(handle);
        return file === undefined ? undefined : ops.flush(caller, file.node, file.fh);
      }, plain(signal)),
    read: (
      signal,
      path: string,
      handle: number,
      buffer: Buffer,
      length: number,
      low: number,
      high: number,
    ) =>
      context.answering.run<number>(
        () => {
          const fh = context.files.get(handle)?.fh ?? 0;
          const node = context.node(path, handle);
          const result = ops.read(caller, node, fh, long(low, high), length, buffer, 0);
          if (typeof result === 'number') return result;
          return after(result, (data) => data.copy(buffer, 0, 0, length));
        },
        bytes(signal, buffer),
      ),
    write: (
      signal,
      path: string,
      handle: number,
      buffer: Buffer,
      _length: number,
      low: number,
      high: number,
    ) => {
      context.writesServed++;
      context.answering.change<number>(
        () => {
          const fh = context.files.get(handle)?.fh ?? 0;
          const node = context.node(path, handle);
          return ops.write(caller, node, fh, long(low, high), buffer, false);
        },
        bytes(signal, buffer),
      );
    },
    fsync: (signal, path: string, dataOnly: number, handle: number) =>
      context.answering.run<unknown>(
        () => ops.fsync(caller, context.node(path, handle), dataOnly !== 0),
        plain(signal),
      ),
    fsyncdir: (signal, path: string) =>
      context.answering.run<unknown>(
        () => ops.fsyncdir(caller, context.paths.node(path)),
        plain(signal),
      ),
    truncate: (signal, path: string, low: number, high: number) =>
      setting(signal, path, 0, { size: long(low, high) }),
    ftruncate: (signal, path: string, handle: number, low: number, high: number) =>
      setting(signal, path, handle, { size: long(low, high) }),
    chmod: (signal, path: string, mode: number) =>
      setting(signal, path, 0, { mode: mode & ~S_IFMT }),
    chown: (signal, path: string, uid: number, gid: number) =>
      setting(signal, path, 0, {
        ...(uid !== UNCHANGED && { uid }),
        ...(gid !== UNCHANGED && { gid }),
      }),
    utimens: (signal, path: string, atimeMs: number, mtimeMs: number) =>
      setting(signal, path, 0, { atime: time(atimeMs), mtime: time(mtimeMs) }),
  };
}

function openFile(context: NativeContext, path: string, flags: number): number {
  const hidden = context.paths.hiddenNode(path);
  if (hidden !== undefined) return context.files.add(hidden, 0, false);
  const { nodeId } = context.paths.addLookup(path);
  try {
    const opened = context.ops.open(context.caller, nodeId, flags);
    return context.files.add(nodeId, opened === 'no-open' ? 0 : opened.fh, true);
  } catch (error) {
    context.ops.forget(nodeId, 1);
    throw error;
  }
}

/** Remembers the path of a new file; its first lookup belongs to the open file. */
function remember(context: NativeContext, path: string): void {
  context.paths.drop(path);
  context.paths.find(path);
}
