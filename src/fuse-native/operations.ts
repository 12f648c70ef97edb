/**
 * The calls of the package, by path, carried out on nodes of the tree.
 *
 * An open file is its node, whatever its name becomes. libfuse gives an open
 * file that is removed, or replaced by a rename, a name `.fuse_hidden…` until
 * it is closed: here that is the removal, and the made-up name leads to the
 * open file without being in the tree.
 */
import { after } from '../tree/after.js';
import { Deferred } from '../base/deferred.js';
import { ERRNO, FsError } from '../base/errors.js';
import type {
  AttributeChanges,
  Attributes,
  Caller,
  Entry,
  Operations,
} from '../tree/operations.js';
import type { Operation, Signal } from 'fuse-native';
import { type Answer, Answering } from './answering.js';
import { InodeNumbers } from './inode-numbers.js';
import { bytesOfText, refuseMangled, splitPath, textOfBytes } from './names.js';
import { OpenFiles } from './open-files.js';
import { Paths } from './paths.js';
import { listedArray, statArray, statFsArray } from './stat-array.js';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
/** chown's "leave it". */
const UNCHANGED = 0xffff_ffff;
const HALF = 2 ** 32;
/** Above this number of names a listing tells nothing but the names. */
const LISTED_WITH_TYPES = 50_000;
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;

/** An answer without values. */
const plain = (signal: Signal): Answer<unknown> => ({
  done: () => signal(0),
  failed: (errno) => signal(-errno),
});

const long = (low: number, high: number): number => low + high * HALF;

/** A time of the package: whole milliseconds. */
const time = (ms: number): { s: number; ns: number } => ({
  s: Math.floor(ms / 1000),
  ns: (ms % 1000) * 1_000_000,
});

export class NativeOperations {
  readonly paths: Paths;
  readonly files: OpenFiles;
  readonly answering: Answering;
  readonly #ops: Operations;
  readonly #caller: Caller;
  /** Writes that came, answered or not. */
  writesServed = 0;
  readonly #numbers = new InodeNumbers();

  constructor(ops: Operations, caller: Caller, log: (message: string) => void) {
    this.#ops = ops;
    this.#caller = caller;
    this.paths = new Paths(ops, caller);
    this.files = new OpenFiles(ops);
    this.answering = new Answering(() => ops.acceptsWrites(), log);
  }

  /** Each operation by its name in the package. */
  table(): Record<string, Operation> {
    return { ...this.#looking(), ...this.#changingNames(), ...this.#content(), ...this.#xattrs() };
  }

  close(): void {
    this.paths.close();
    this.answering.close();
  }

  #stat(attr: Attributes): Uint32Array {
    return statArray(attr, this.#numbers.of(attr.inoHigh, attr.inoLow));
  }

  /** The node of an open file, or else of the path. */
  #node(path: string, handle: number): number {
    return this.files.get(handle)?.node ?? this.paths.node(path);
  }

  /** Once more from the root when what was remembered is there no longer. */
  #at<T>(path: string, use: (node: number, attr?: Attributes) => T): T {
    const { node, attr } = this.paths.find(path);
    try {
      return use(node, attr);
    } catch (error) {
      if (attr !== undefined || !(error instanceof FsError) || error.code !== 'ESTALE') throw error;
    }
    this.paths.dropTree(path);
    const again = this.paths.find(path);
    return use(again.node, again.attr);
  }

  #looking(): Record<string, Operation> {
    const caller = this.#caller;
    const ops = this.#ops;
    const stat = (signal: Signal): Answer<Attributes> => ({
      done: (attr) => signal(0, this.#stat(attr)),
      failed: (errno) => signal(-errno),
    });
    return {
      getattr: (signal, path: string) =>
        this.answering.run(
          () => this.#at(path, (node, attr) => attr ?? ops.getattr(caller, node)),
          stat(signal),
        ),
      fgetattr: (signal, path: string, handle: number) =>
        this.answering.run(() => ops.getattr(caller, this.#node(path, handle)), stat(signal)),
      readdir: (signal, path: string) =>
        this.answering.run(() => this.#list(path), {
          done: ({ names, stats }) => signal(0, names, stats),
          failed: (errno) => signal(-errno),
        }),
      readlink: (signal, path: string) =>
        this.answering.run(() => this.#at(path, (node) => ops.readlink(caller, node)), {
          done: (target) => signal(0, textOfBytes(target)),
          failed: (errno) => signal(-errno),
        }),
      statfs: (signal) =>
        this.answering.run(() => ops.statfs(caller, 1), {
          done: (space) => signal(0, statFsArray(space)),
          failed: (errno) => signal(-errno),
        }),
    };
  }

  #list(path: string): { names: string[]; stats: Uint32Array[] } {
    const names: string[] = [];
    const listed: { type: number; ino: number }[] = [];
    this.#at(path, (node) =>
      this.#ops.readdir(this.#caller, node, 0, 0, (name, high, low, type) => {
        names.push(textOfBytes(name));
        if (names.length <= LISTED_WITH_TYPES) {
          listed.push({ type, ino: this.#numbers.of(high, low) });
        }
        return true;
      }),
    );
    const withTypes = names.length <= LISTED_WITH_TYPES;
    const stats = withTypes ? listed.map(({ type, ino }) => listedArray(type, ino)) : [];
    return { names, stats };
  }

  #changingNames(): Record<string, Operation> {
    const caller = this.#caller;
    const ops = this.#ops;
    const change = (signal: Signal, work: () => unknown): void =>
      this.answering.change(work, plain(signal));
    return {
      mknod: (signal, path: string, mode: number, rdev: number) =>
        change(signal, () =>
          this.#make(path, 'mknod', (parent, name) => {
            const whole = (mode & S_IFMT) === 0 ? mode | S_IFREG : mode;
            return ops.mknod(caller, parent, name, whole, rdev);
          }),
        ),
      mkdir: (signal, path: string, mode: number) =>
        change(signal, () =>
          this.#make(path, 'mkdir', (parent, name) => ops.mkdir(caller, parent, name, mode)),
        ),
      symlink: (signal, target: string, path: string) =>
        change(signal, () => {
          refuseMangled(target, 'symlink');
          return this.#make(path, 'symlink', (parent, name) =>
            ops.symlink(caller, parent, name, bytesOfText(target)),
          );
        }),
      link: (signal, from: string, path: string) =>
        change(signal, () => {
          const node = this.paths.node(from);
          return this.#make(path, 'link', (parent, name) => ops.link(caller, node, parent, name));
        }),
      unlink: (signal, path: string) =>
        change(signal, () => {
          // An open file's name was removed when libfuse hid it.
          if (this.paths.hiddenNode(path) !== undefined) return;
          this.#unlink(path);
        }),
      rmdir: (signal, path: string) =>
        change(signal, () => {
          const { node, name } = this.paths.parent(path);
          const removed = ops.rmdir(caller, node, name);
          const gone = (): void => this.paths.dropTree(path);
          return removed instanceof Deferred ? after(removed, gone) : gone();
        }),
      rename: (signal, from: string, to: string) => change(signal, () => this.#rename(from, to)),
    };
  }

  #unlink(path: string): void {
    const { node, name } = this.paths.parent(path);
    this.#ops.unlink(this.#caller, node, name);
    this.paths.drop(path);
  }

  #make(
    path: string,
    syscall: string,
    make: (parent: number, name: string) => Entry | Deferred<Entry>,
  ): undefined | Deferred<void> {
    refuseMangled(splitPath(path).name, syscall);
    const { node, name } = this.paths.parent(path);
    const made = make(node, name);
    if (made instanceof Deferred) return after(made, (entry) => this.paths.keep(path, entry));
    this.paths.keep(path, made);
    return undefined;
  }

  #rename(from: string, to: string): void | Deferred<void> {
    const { name: newText } = splitPath(to);
    const node = this.paths.node(from);
    if (HIDDEN_NAME.test(newText) && this.files.isOpen(node)) {
      this.#unlink(from);
      this.paths.hide(to, node);
      return;
    }
    refuseMangled(newText, 'rename');
    const attr = this.#ops.getattr(this.#caller, node);
    const old = this.paths.parent(from);
    const next = this.paths.parent(to);
    const moved = this.#ops.rename(this.#caller, old.node, old.name, next.node, next.name, 0);
    const renamed = (): void => {
      if ((attr.mode & S_IFMT) === S_IFDIR) {
        this.paths.dropTree(from);
        this.paths.dropTree(to);
      } else {
        this.paths.drop(from);
        this.paths.drop(to);
      }
    };
    return moved instanceof Deferred ? after(moved, renamed) : renamed();
  }

  #content(): Record<string, Operation> {
    const caller = this.#caller;
    const ops = this.#ops;
    const opened = (signal: Signal): Answer<number> => ({
      done: (handle) => signal(0, handle),
      failed: (errno) => signal(-errno),
    });
    /** The buffer goes back with the answer: it is libfuse's memory. */
    const bytes = (signal: Signal, buffer: Buffer): Answer<number> => ({
      done: (count) => signal(count, count, buffer.buffer),
      failed: (errno) => signal(-errno, 0, buffer.buffer),
    });
    const setting = (signal: Signal, path: string, handle: number, changes: AttributeChanges) =>
      this.answering.change<unknown>(() => {
        const file = this.files.get(handle);
        if (file !== undefined) return ops.setattr(caller, file.node, changes, file.fh);
        return this.#at(path, (node) => ops.setattr(caller, node, changes, undefined));
      }, plain(signal));
    return {
      open: (signal, path: string, flags: number) =>
        this.answering.run(() => this.#open(path, flags), opened(signal)),
      create: (signal, path: string, mode: number) =>
        this.answering.change(() => {
          refuseMangled(splitPath(path).name, 'open');
          const { node, name } = this.paths.parent(path);
          const { entry, opened } = ops.create(caller, node, name, mode, 0);
          const handle = this.files.add(entry.nodeId, opened.fh, false);
          this.#remember(path);
          return handle;
        }, opened(signal)),
      release: (signal, _path: string, handle: number) =>
        this.answering.run<void>(
          () => this.files.remove(handle, (node) => this.paths.dropHidden(node)),
          plain(signal),
        ),
      flush: (signal, _path: string, handle: number) =>
        this.answering.run<unknown>(() => {
          const file = this.files.get(handle);
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
        this.answering.run<number>(
          () => {
            const fh = this.files.get(handle)?.fh ?? 0;
            const node = this.#node(path, handle);
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
        this.writesServed++;
        this.answering.change<number>(
          () => {
            const fh = this.files.get(handle)?.fh ?? 0;
            const node = this.#node(path, handle);
            return ops.write(caller, node, fh, long(low, high), buffer, false);
          },
          bytes(signal, buffer),
        );
      },
      fsync: (signal, path: string, dataOnly: number, handle: number) =>
        this.answering.run<unknown>(
          () => ops.fsync(caller, this.#node(path, handle), dataOnly !== 0),
          plain(signal),
        ),
      fsyncdir: (signal, path: string) =>
        this.answering.run<unknown>(
          () => ops.fsyncdir(caller, this.paths.node(path)),
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

  #open(path: string, flags: number): number {
    const hidden = this.paths.hiddenNode(path);
    if (hidden !== undefined) return this.files.add(hidden, 0, false);
    const { nodeId } = this.paths.take(path);
    try {
      const opened = this.#ops.open(this.#caller, nodeId, flags);
      return this.files.add(nodeId, opened === 'no-open' ? 0 : opened.fh, true);
    } catch (error) {
      this.#ops.forget(nodeId, 1);
      throw error;
    }
  }

  /** The path of a file just made; its first lookup belongs to the open file. */
  #remember(path: string): void {
    this.paths.drop(path);
    this.paths.find(path);
  }

  #xattrs(): Record<string, Operation> {
    const caller = this.#caller;
    const ops = this.#ops;
    /** The buffer goes back with the answer; without one the size is asked for. */
    const filled = (signal: Signal, buffer: Buffer): Answer<Uint8Array> => ({
      done: (value) => {
        const fits = buffer.length === 0 || value.length <= buffer.length;
        if (fits && buffer.length > 0) buffer.set(value);
        signal(fits ? value.length : -ERRNO.ERANGE, buffer.buffer);
      },
      failed: (errno) => signal(-errno, buffer.buffer),
    });
    return {
      setxattr: (
        signal,
        path: string,
        name: string,
        value: Buffer,
        _position: number,
        flags: number,
      ) =>
        this.answering.change<void>(
          () => {
            refuseMangled(name, 'setxattr');
            const copy = Buffer.from(value);
            this.#at(path, (node) => ops.setxattr(caller, node, bytesOfText(name), copy, flags));
          },
          {
            done: () => signal(0, value.buffer),
            failed: (errno) => signal(-errno, value.buffer),
          },
        ),
      getxattr: (signal, path: string, name: string, buffer: Buffer) =>
        this.answering.run(
          () => this.#at(path, (node) => ops.getxattr(caller, node, bytesOfText(name))),
          filled(signal, buffer),
        ),
      listxattr: (signal, path: string, buffer: Buffer) =>
        this.answering.run<Uint8Array>(
          () => {
            const names = this.#at(path, (node) => ops.listxattr(caller, node));
            const text = names.map((name) => `${name}\0`).join('');
            return Buffer.from(text, 'latin1');
          },
          filled(signal, buffer),
        ),
      removexattr: (signal, path: string, name: string) =>
        this.answering.change<void>(
          () => this.#at(path, (node) => ops.removexattr(caller, node, bytesOfText(name))),
          plain(signal),
        ),
    };
  }
}
