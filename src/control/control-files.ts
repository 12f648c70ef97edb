/**
 * The control file system: one directory, one small file per command and per
 * piece of state. `commands/files.ts` lists them, and says what a new one
 * touches. It is a second, tiny mount beside the volume's own. There a
 * writeback cache would hide the error of a `write`; here all I/O is direct.
 *
 * Owns the open files. What must hold: every open has its own content or line,
 * so that two readers or writers never mix; their number is bounded.
 *
 * Doors: command, command-queue, control-file, control-files, intake-handle.
 * Doors inside control/: opened-file, state-files.
 */
import { S_IFDIR, S_IFREG } from '../lib/file-mode.js';
import type { Deferred } from '../lib/deferred.js';
import { CommandError, FsError } from '../lib/errors.js';
import type {
  AttributeChanges,
  Attributes,
  Caller,
  Entry,
  FillDirectory,
  FillDirectoryPlus,
  Opened,
  Operations,
  StatFs,
} from '../tree/operations.js';
import { CommandHandle } from './command-handle.js';
import { asFsError, type Commands, failureAnswer } from './command.js';
import type { ControlFile, ControlState } from './control-file.js';
import { EventReaders } from './streams/event-stream.js';
import { CONTROL_FILES } from './commands/files.js';
import { IntakeHandle, type OpenIncoming } from './intake-handle.js';
import { fixedContent, type OpenedFile } from './opened-file.js';
import { type Later, TraceReaders } from './streams/trace-stream.js';
import type { TraceSink } from '../measure/trace-entry.js';

const ROOT_NODE = 1;
const FIRST_FILE_NODE = 2;
const O_ACCMODE = 3;
const FOPEN_DIRECT_IO = 1;
const FOPEN_STREAM = 16;
/** Each open file holds at most one line (64 KiB) and one answer. */
const MAX_OPEN_FILES = 1024;
/**
 * Seconds for which the kernel may cache names and attributes; they never
 * change during the mount.
 */
const TIMEOUT_S = 1;
const DIRECTORY_MODE = 0o700;
const COMMAND_MODE = 0o600;
const STATE_MODE = 0o400;

export interface ControlFilesOptions {
  /** Who may use the files: the mount's owner. */
  uid: number;
  gid: number;
  commands: Commands;
  openIncoming: OpenIncoming;
  state: ControlState;
  nowMs(): number;
  /** The driver can withdraw a waiting request: reading `events` may wait. */
  canWait: boolean;
  later: Later;
  /** The kinds of request that a trace can select. */
  traceOps: readonly string[];
  /** Sends requests to the sink from now on; undefined: no reader follows them any more. */
  trace(sink: TraceSink | undefined): void;
}

interface Handle {
  node: number;
  file: OpenedFile;
}

function isWritable(file: ControlFile): boolean {
  if (file.kind === 'stream') return file.isWritable;
  return file.kind !== 'state' || file.written !== undefined;
}

export class ControlFiles implements Operations {
  readonly #options: ControlFilesOptions;
  readonly #files = new Map<number, ControlFile>();
  readonly #nodes = new Map<string, number>();
  readonly #handles = new Map<number, Handle>();
  readonly #events: EventReaders;
  readonly #traces: TraceReaders;
  readonly #startedMs: number;
  #nextHandle = 1;

  constructor(options: ControlFilesOptions) {
    this.#options = options;
    this.#events = new EventReaders(options.canWait, options.nowMs);
    this.#traces = new TraceReaders(
      options.canWait,
      options.later,
      (sink) => options.trace(sink),
      options.traceOps,
    );
    options.state.watch((answer) => this.#events.tell(answer));
    this.#startedMs = options.nowMs();
    CONTROL_FILES.forEach((file, index) => {
      this.#files.set(FIRST_FILE_NODE + index, file);
      this.#nodes.set(file.name, FIRST_FILE_NODE + index);
    });
  }

  lookup(_caller: Caller, parent: number, name: string): Entry {
    if (parent !== ROOT_NODE) throw new FsError('ENOTDIR', 'lookup', name);
    const node = this.#nodes.get(name);
    if (node === undefined) throw new FsError('ENOENT', 'lookup', name);
    return { nodeId: node, entryTimeoutS: TIMEOUT_S, attr: this.#attributes(node) };
  }

  forget(): void {
    // Nodes are fixed.
  }

  getattr(_caller: Caller, node: number): Attributes {
    return this.#attributes(node);
  }

  setattr(
    _caller: Caller,
    node: number,
    changes: AttributeChanges,
    fh: number | undefined,
  ): Attributes {
    if (changes.mode !== undefined || changes.uid !== undefined || changes.gid !== undefined) {
      throw new FsError('EPERM', 'setattr');
    }
    // O_TRUNC of `echo x > save`, and ftruncate.
    if (changes.size !== undefined) {
      const file = this.#files.get(node);
      if (file === undefined || !isWritable(file)) throw new FsError('EPERM', 'truncate');
      const handle = fh === undefined ? undefined : this.#handles.get(fh);
      handle?.file.truncate?.();
    }
    return this.#attributes(node);
  }

  open(caller: Caller, node: number, flags: number): Opened {
    const file = this.#files.get(node);
    if (file === undefined) throw new FsError('EISDIR', 'open');
    if (this.#handles.size >= MAX_OPEN_FILES) throw new FsError('ENOMEM', 'open', file.name);
    if (!isWritable(file) && (flags & O_ACCMODE) !== 0) {
      throw new FsError('EACCES', 'open', file.name);
    }
    const isStranger = caller.uid !== 0 && caller.uid !== this.#options.uid;
    if (file.kind === 'stream' && file.isPrivate && isStranger) {
      throw new FsError('EACCES', 'open', file.name);
    }
    const opened = this.#opened(file, (flags & O_ACCMODE) !== 0);
    const fh = this.#nextHandle++;
    this.#handles.set(fh, { node, file: opened });
    return { fh, flags: FOPEN_DIRECT_IO | (file.kind === 'stream' ? FOPEN_STREAM : 0) };
  }

  #opened(file: ControlFile, isForWriting: boolean): OpenedFile {
    const { state, commands } = this.#options;
    switch (file.kind) {
      case 'command':
        return new CommandHandle(file, commands);
      case 'intake':
        return new IntakeHandle(this.#options.openIncoming, commands, isForWriting);
      case 'stream':
        return file.name === 'trace'
          ? this.#telling(this.#traces.open(), 'trace')
          : this.#eventFile();
      case 'state': {
        const opened = fixedContent(Buffer.from(file.content(state)));
        if (file.written === undefined) return opened;
        const write = (_offset: number, data: Buffer): number => {
          file.written?.(state, data.toString());
          return data.length;
        };
        return this.#telling({ ...opened, write }, file.name);
      }
    }
  }

  /** `result` shows what is refused here, as it shows what a command file refuses. */
  #telling(opened: OpenedFile, name: string): OpenedFile {
    return {
      read: (offset, length) => opened.read(offset, length),
      write: (offset, data) => {
        try {
          return opened.write?.(offset, data) ?? 0;
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
          this.#options.commands.refused(failureAnswer(name, error));
          throw asFsError(error, 'write');
        }
      },
      close: () => opened.close?.(),
    };
  }

  #eventFile(): OpenedFile {
    const reader = this.#events.open();
    return {
      read: (_offset, length) => reader.read(length),
      close: () => this.#events.close(reader),
    };
  }

  read(
    _caller: Caller,
    node: number,
    fh: number,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
  ): number | Deferred<Buffer> {
    const bytes = this.#handle(node, fh, 'read').read(offset, length);
    if (!Buffer.isBuffer(bytes)) return bytes;
    bytes.copy(out, outOffset);
    return bytes.length;
  }

  write(
    _caller: Caller,
    node: number,
    fh: number,
    offset: number,
    data: Buffer,
  ): number | Deferred<number> {
    const file = this.#handle(node, fh, 'write');
    if (file.write === undefined) throw new FsError('EBADF', 'write');
    return data.length === 0 ? 0 : file.write(offset, data);
  }

  flush(_caller: Caller, node: number, fh: number): undefined | Deferred<void> {
    return this.#handle(node, fh, 'close').flush?.();
  }

  release(_node: number, fh: number): void {
    const handle = this.#handles.get(fh);
    this.#handles.delete(fh);
    handle?.file.close?.();
  }

  fsync(): undefined {
    return undefined;
  }

  opendir(_caller: Caller, node: number): Opened | 'no-open' {
    if (node !== ROOT_NODE) throw new FsError('ENOTDIR', 'opendir');
    return 'no-open';
  }

  readdir(_caller: Caller, node: number, _fh: number, offset: number, fill: FillDirectory): void {
    this.#list(node, offset, (name, child, type, next) => fill(name, 0, child, type, next));
  }

  readdirplus(
    _caller: Caller,
    node: number,
    _fh: number,
    offset: number,
    fill: FillDirectoryPlus,
  ): void {
    this.#list(node, offset, (name, child, type, next) => {
      const entry =
        child === ROOT_NODE
          ? undefined
          : { nodeId: child, entryTimeoutS: TIMEOUT_S, attr: this.#attributes(child) };
      return fill(name, 0, child, type, next, entry);
    });
  }

  fsyncdir(): undefined {
    return undefined;
  }

  statfs(): StatFs {
    return {
      blocks: 0,
      bfree: 0,
      bavail: 0,
      files: this.#files.size,
      ffree: 0,
      bsize: 4096,
      namelen: 255,
    };
  }

  beginChange(): boolean {
    // Commands must get through when the volume is full or busy: they queue by themselves.
    return true;
  }

  readlink(): never {
    throw new FsError('EINVAL', 'readlink');
  }

  mknod(): never {
    throw new FsError('EPERM', 'mknod');
  }

  mkdir(): never {
    throw new FsError('EPERM', 'mkdir');
  }

  symlink(): never {
    throw new FsError('EPERM', 'symlink');
  }

  link(): never {
    throw new FsError('EPERM', 'link');
  }

  unlink(): never {
    throw new FsError('EPERM', 'unlink');
  }

  rmdir(): never {
    throw new FsError('EPERM', 'rmdir');
  }

  rename(): never {
    throw new FsError('EPERM', 'rename');
  }

  create(): never {
    throw new FsError('EPERM', 'create');
  }

  tmpfile(): never {
    throw new FsError('EOPNOTSUPP', 'open');
  }

  setxattr(): never {
    throw new FsError('EOPNOTSUPP', 'setxattr');
  }

  getxattr(): never {
    throw new FsError('ENODATA', 'getxattr');
  }

  listxattr(): string[] {
    return [];
  }

  removexattr(): never {
    throw new FsError('ENODATA', 'removexattr');
  }

  fallocate(): never {
    throw new FsError('EOPNOTSUPP', 'fallocate');
  }

  lseek(): never {
    throw new FsError('ENOSYS', 'lseek');
  }

  copyFileRange(): never {
    throw new FsError('EOPNOTSUPP', 'copy_file_range');
  }

  #handle(node: number, fh: number, syscall: string): OpenedFile {
    const handle = this.#handles.get(fh);
    if (handle === undefined || handle.node !== node) throw new FsError('EBADF', syscall);
    return handle.file;
  }

  /** Offsets: 1 after `.`, 2 after `..`, then the files in order. */
  #list(
    node: number,
    offset: number,
    fill: (name: string, node: number, type: number, next: number) => boolean,
  ): void {
    if (node !== ROOT_NODE) throw new FsError('ENOTDIR', 'readdir');
    if (offset < 1 && !fill('.', ROOT_NODE, S_IFDIR, 1)) return;
    if (offset < 2 && !fill('..', ROOT_NODE, S_IFDIR, 2)) return;
    for (const [child, file] of this.#files) {
      const next = child + 1;
      if (next > offset && !fill(file.name, child, S_IFREG, next)) return;
    }
  }

  #attributes(node: number): Attributes {
    const file = this.#files.get(node);
    if (file === undefined && node !== ROOT_NODE) throw new FsError('ENOENT', 'getattr');
    const mode =
      file === undefined
        ? S_IFDIR | DIRECTORY_MODE
        : S_IFREG | (isWritable(file) ? COMMAND_MODE : STATE_MODE);
    const seconds = Math.floor(this.#startedMs / 1000);
    return {
      inoHigh: 0,
      inoLow: node,
      mode,
      nlink: file === undefined ? 2 : 1,
      uid: this.#options.uid,
      gid: this.#options.gid,
      rdev: 0,
      size: 0,
      blocks: 0,
      blksize: 4096,
      atimeS: seconds,
      atimeNs: 0,
      mtimeS: seconds,
      mtimeNs: 0,
      ctimeS: seconds,
      ctimeNs: 0,
      btimeS: seconds,
      btimeNs: 0,
      // The kernel increases its file size with each direct write: 0 makes it ask again.
      attrTimeoutS: 0,
    };
  }
}
