/**
 * A file system in memory behind the driver, for its tests: everything a
 * program can see works, and a test can make it hold answers back, refuse
 * writes for a while or claim that a file is not in the page cache.
 */
import { Deferred } from '../../src/lib/deferred.js';
import { RetryLater, FsError, BaseReadBlocks } from '../../src/lib/errors.js';
import { WaitPolicy } from '../../src/lib/wait-policy.js';
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
} from '../../src/tree/operations.js';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_ISUID = 0o004000;

interface Node {
  id: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  size: number;
  data: Buffer;
  target: string;
  parent: number;
  children: Map<string, { id: number; cookie: number }>;
  xattrs: Map<string, Buffer>;
  times: Record<'atime' | 'mtime' | 'ctime' | 'btime', { s: number; ns: number }>;
  lookups: number;
}

const now = (): { s: number; ns: number } => {
  const ms = Date.now();
  return { s: Math.floor(ms / 1000), ns: (ms % 1000) * 1e6 };
};

/** What a test may change while the file system runs. */
export interface Behaviour {
  /** WRITEs are answered this much later. */
  holdWritesMs: number;
  /** Truncations are answered this much later. */
  holdTruncatesMs: number;
  acceptsWrites: boolean;
  /** Reads of files whose name starts with `cold` would block this often each. */
  coldTries: number;
  noOpen: boolean;
  timeoutS: number;
}

export class MemoryOps implements Operations {
  readonly behaviour: Behaviour = {
    holdWritesMs: 0,
    holdTruncatesMs: 0,
    acceptsWrites: true,
    coldTries: 2,
    noOpen: true,
    timeoutS: 3600,
  };
  readonly waits = new WaitPolicy('yield');
  /** Names of operations in the order in which they took effect. */
  readonly done: string[] = [];
  readonly #nodes = new Map<number, Node>();
  readonly #cold = new Map<number, { tries: number; fd: number }>();
  readonly #later: (delayMs: number, run: () => void) => void;
  readonly #coldFd: number;
  #nextId = 1;
  #nextCookie = 3;
  writesTaken = 0;

  /** `coldFd`: an open file that a warm-up can read. */
  constructor(later: (delayMs: number, run: () => void) => void, coldFd: number, uid: number) {
    this.#later = later;
    this.#coldFd = coldFd;
    this.#make({ uid, gid: uid, pid: 0 }, S_IFDIR | 0o755, 1).lookups = 1;
  }

  get nodeCount(): number {
    return this.#nodes.size;
  }

  #make(caller: Caller, mode: number, parent: number): Node {
    const at = now();
    const node: Node = {
      id: this.#nextId++,
      mode,
      nlink: (mode & S_IFMT) === S_IFDIR ? 2 : 1,
      uid: caller.uid,
      gid: caller.gid,
      rdev: 0,
      size: 0,
      data: Buffer.alloc(0),
      target: '',
      parent,
      children: new Map(),
      xattrs: new Map(),
      times: { atime: at, mtime: at, ctime: at, btime: at },
      lookups: 0,
    };
    this.#nodes.set(node.id, node);
    return node;
  }

  #node(id: number): Node {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new FsError('ESTALE', `node ${id}`);
    return node;
  }

  #child(parent: number, name: string): Node {
    const found = this.#node(parent).children.get(name);
    if (found === undefined) throw new FsError('ENOENT', 'lookup', name);
    return this.#node(found.id);
  }

  #attr(node: Node): Attributes {
    const { atime, mtime, ctime, btime } = node.times;
    return {
      inoHigh: 0,
      inoLow: node.id,
      mode: node.mode,
      nlink: node.nlink,
      uid: node.uid,
      gid: node.gid,
      rdev: node.rdev,
      size: node.size,
      blocks: Math.ceil(node.size / 512),
      blksize: 4096,
      atimeS: atime.s,
      atimeNs: atime.ns,
      mtimeS: mtime.s,
      mtimeNs: mtime.ns,
      ctimeS: ctime.s,
      ctimeNs: ctime.ns,
      btimeS: btime.s,
      btimeNs: btime.ns,
      attrTimeoutS: this.behaviour.timeoutS,
    };
  }

  #entry(node: Node): Entry {
    node.lookups += 1;
    return {
      nodeId: node.id,
      entryTimeoutS: this.behaviour.timeoutS,
      attr: this.#attr(node),
    };
  }

  #add(parent: number, name: string, node: Node): Entry {
    this.#absent(parent, name);
    this.#node(parent).children.set(name, { id: node.id, cookie: this.#nextCookie++ });
    this.done.push(`make ${name}`);
    return this.#entry(node);
  }

  #absent(parent: number, name: string): void {
    if (this.#node(parent).children.has(name)) throw new FsError('EEXIST', 'create', name);
  }

  #drop(node: Node): void {
    if (node.nlink <= 0 && node.lookups <= 0) this.#nodes.delete(node.id);
  }

  lookup(_caller: Caller, parent: number, name: string): Entry {
    if (name === 'bug') throw new Error('a mistake in the operations');
    return this.#entry(this.#child(parent, name));
  }

  forget(id: number, count: number): void {
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    node.lookups -= count;
    this.#drop(node);
  }

  getattr(_caller: Caller, node: number): Attributes {
    return this.#attr(this.#node(node));
  }

  setattr(
    _caller: Caller,
    id: number,
    changes: AttributeChanges,
  ): Attributes | Deferred<Attributes> {
    const node = this.#node(id);
    if (changes.mode !== undefined) node.mode = (node.mode & S_IFMT) | changes.mode;
    if (changes.killSetId === true) node.mode &= ~S_ISUID;
    if (changes.uid !== undefined) node.uid = changes.uid;
    if (changes.gid !== undefined) node.gid = changes.gid;
    if (changes.size !== undefined) this.#resize(node, changes.size);
    for (const which of ['atime', 'mtime', 'ctime'] as const) {
      const to = changes[which];
      if (to !== undefined) node.times[which] = to === 'now' ? now() : to;
    }
    if (changes.size === undefined || this.behaviour.holdTruncatesMs === 0) return this.#attr(node);
    const later = new Deferred<Attributes>();
    this.#later(this.behaviour.holdTruncatesMs, () => later.resolve(this.#attr(node)));
    return later;
  }

  #resize(node: Node, size: number): void {
    if (size > node.data.length) {
      const larger = Buffer.alloc(Math.max(size, node.data.length * 2));
      node.data.copy(larger, 0, 0, node.size);
      node.data = larger;
    } else if (size < node.size) {
      node.data.fill(0, size, node.size);
    }
    node.size = size;
  }

  readlink(_caller: Caller, node: number): string {
    return this.#node(node).target;
  }

  mknod(caller: Caller, parent: number, name: string, mode: number, rdev: number): Entry {
    this.#absent(parent, name);
    const node = this.#make(caller, mode, parent);
    node.rdev = rdev;
    return this.#add(parent, name, node);
  }

  mkdir(caller: Caller, parent: number, name: string, mode: number): Entry {
    this.#absent(parent, name);
    this.#node(parent).nlink += 1;
    return this.#add(parent, name, this.#make(caller, S_IFDIR | (mode & 0o7777), parent));
  }

  symlink(caller: Caller, parent: number, name: string, target: string): Entry {
    this.#absent(parent, name);
    const node = this.#make(caller, S_IFLNK | 0o777, parent);
    node.target = target;
    node.size = target.length;
    return this.#add(parent, name, node);
  }

  link(_caller: Caller, id: number, newParent: number, newName: string): Entry {
    this.#absent(newParent, newName);
    this.#node(id).nlink += 1;
    return this.#add(newParent, newName, this.#node(id));
  }

  unlink(_caller: Caller, parent: number, name: string): void {
    const node = this.#child(parent, name);
    this.#node(parent).children.delete(name);
    this.done.push(`unlink ${name}`);
    node.nlink -= 1;
    this.#drop(node);
  }

  rmdir(_caller: Caller, parent: number, name: string): void {
    const node = this.#child(parent, name);
    if (node.children.size > 0) throw new FsError('ENOTEMPTY', 'rmdir', name);
    this.#node(parent).children.delete(name);
    this.#node(parent).nlink -= 1;
    this.done.push(`rmdir ${name}`);
    node.nlink = 0;
    this.#drop(node);
  }

  rename(
    caller: Caller,
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
  ): void {
    const node = this.#child(parent, name);
    const target = this.#node(newParent).children.get(newName);
    if (target !== undefined && (flags & 1) !== 0) throw new FsError('EEXIST', 'rename', newName);
    if ((flags & ~1) !== 0) throw new FsError('EINVAL', 'rename');
    if (target?.id === node.id) return;
    if (target !== undefined) {
      if (this.#node(target.id).children.size > 0)
        throw new FsError('ENOTEMPTY', 'rename', newName);
      this.unlink(caller, newParent, newName);
    }
    this.#node(parent).children.delete(name);
    this.#node(newParent).children.set(newName, { id: node.id, cookie: this.#nextCookie++ });
    node.parent = newParent;
    this.done.push(`rename ${name} ${newName}`);
  }

  open(): Opened | 'no-open' {
    return this.behaviour.noOpen ? 'no-open' : { fh: 7, flags: 2 };
  }

  opendir(): Opened | 'no-open' {
    return this.behaviour.noOpen ? 'no-open' : { fh: 8, flags: 0 };
  }

  create(caller: Caller, parent: number, name: string, mode: number) {
    this.#absent(parent, name);
    const entry = this.#add(parent, name, this.#make(caller, S_IFREG | (mode & 0o7777), parent));
    return { entry, opened: { fh: 0, flags: 2 } };
  }

  tmpfile(caller: Caller, parent: number, mode: number) {
    const node = this.#make(caller, S_IFREG | (mode & 0o7777), parent);
    node.nlink = 0;
    return { entry: this.#entry(node), opened: { fh: 0, flags: 2 } };
  }

  #nameOf(node: Node): string {
    for (const [name, { id }] of this.#node(node.parent).children) if (id === node.id) return name;
    return '';
  }

  read(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
  ): number {
    const node = this.#node(id);
    const name = this.#nameOf(node);
    if (name.startsWith('cold')) {
      const cold = this.#cold.get(id) ?? { tries: this.behaviour.coldTries, fd: this.#coldFd };
      this.#cold.set(id, cold);
      if (cold.tries > 0 && !this.waits.allows('far')) {
        cold.tries -= 1;
        this.done.push(`cold ${name}`);
        throw new BaseReadBlocks(cold.fd, 0, 4096);
      }
      this.done.push(`read ${name} ${this.waits.mode}`);
    }
    if (name.startsWith('late')) {
      const isRead = this.waits.mode === 'wait';
      this.done.push(`${isRead ? 'read' : 'put off'} ${name}`);
      if (!isRead) throw new RetryLater();
    }
    const end = Math.min(node.size, offset + length);
    return end <= offset ? 0 : node.data.copy(out, outOffset, offset, end);
  }

  write(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    data: Buffer,
    killSetId: boolean,
  ): number | Deferred<number> {
    const node = this.#node(id);
    if (killSetId) node.mode &= ~S_ISUID;
    if (offset + data.length > node.size) this.#resize(node, offset + data.length);
    data.copy(node.data, offset);
    this.done.push(`write ${this.#nameOf(node)}`);
    const { length } = data;
    if (this.behaviour.holdWritesMs === 0) {
      this.writesTaken += 1;
      return length;
    }
    const later = new Deferred<number>();
    this.#later(this.behaviour.holdWritesMs, () => {
      this.writesTaken += 1;
      later.resolve(length);
    });
    return later;
  }

  flush(): 'no-flush' {
    return 'no-flush';
  }

  release(): void {}

  fsync(): Deferred<void> {
    const later = new Deferred<void>();
    this.#later(5, () => {
      this.done.push('fsync');
      later.resolve();
    });
    return later;
  }

  fsyncdir(): undefined {
    return undefined;
  }

  readdir(_caller: Caller, id: number, _fh: number, offset: number, fill: FillDirectory): void {
    for (const item of this.#list(id, offset)) {
      if (!fill(item.name, 0, item.node.id, item.node.mode & S_IFMT, item.cookie)) return;
    }
  }

  readdirplus(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    fill: FillDirectoryPlus,
  ): void {
    for (const item of this.#list(id, offset)) {
      const entry = item.name === '.' || item.name === '..' ? undefined : this.#entry(item.node);
      if (!fill(item.name, 0, item.node.id, item.node.mode & S_IFMT, item.cookie, entry)) {
        if (entry !== undefined) item.node.lookups -= 1;
        return;
      }
    }
  }

  *#list(id: number, offset: number): Generator<{ name: string; node: Node; cookie: number }> {
    const node = this.#node(id);
    if (offset < 1) yield { name: '.', node, cookie: 1 };
    if (offset < 2) yield { name: '..', node: this.#node(node.parent), cookie: 2 };
    for (const [name, { id: child, cookie }] of node.children) {
      if (cookie > offset) yield { name, node: this.#node(child), cookie };
    }
  }

  statfs(): StatFs {
    const [blocks, bfree] = [1e6, 5e5];
    return { blocks, bfree, bavail: bfree, files: 1e6, ffree: 1e6, bsize: 4096, namelen: 255 };
  }

  setxattr(_caller: Caller, id: number, name: string, value: Buffer): void {
    this.#node(id).xattrs.set(name, Buffer.from(value));
  }

  getxattr(_caller: Caller, id: number, name: string): Uint8Array {
    const value = this.#node(id).xattrs.get(name);
    if (value === undefined) throw new FsError('ENODATA', 'getxattr', name);
    return value;
  }

  listxattr(_caller: Caller, id: number): string[] {
    return [...this.#node(id).xattrs.keys()];
  }

  removexattr(_caller: Caller, id: number, name: string): void {
    if (!this.#node(id).xattrs.delete(name)) throw new FsError('ENODATA', 'removexattr', name);
  }

  fallocate(
    _c: Caller,
    id: number,
    _fh: number,
    offset: number,
    length: number,
    mode: number,
  ): void {
    if (mode !== 0) throw new FsError('EOPNOTSUPP', 'fallocate');
    const node = this.#node(id);
    if (offset + length > node.size) this.#resize(node, offset + length);
  }

  lseek(_c: Caller, id: number, _fh: number, offset: number, whence: number): number {
    const { size } = this.#node(id);
    if (offset >= size) throw new FsError('ENXIO', 'lseek');
    return whence === 3 ? offset : size;
  }

  copyFileRange(): number {
    throw new FsError('ENOSYS', 'copy_file_range');
  }

  beginChange(): boolean {
    return this.behaviour.acceptsWrites;
  }
}
