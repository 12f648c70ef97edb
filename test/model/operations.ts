/** The random operations: each looks at the model, chooses, and does it on both sides. */
import { inodeNumber, ALLOCATOR } from '../../src/format/records/tables.js';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../../src/lib/file-mode.js';
import { type AttributeChange, isDirectory, isRegular, type ModelInode } from './plain-model.js';
import { allocate } from '../../src/tree/live/space.js';
import type { Random } from './random.js';
import { BLOCK, type VolumeRun } from './volume-run.js';

const NAMES = [...'abcdefgh', 'soft', 'sparse', 'deep', '\xe9\xff', 'n'.repeat(255), 'n1', 'n2'];
const BAD_NAMES = ['', 'a/b', 'x\0', '.', '..', 'n'.repeat(256)];
const XATTRS = ['user.x', 'user.y', 'user.z'];
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const MAX_INODES = 70;

export class Operations {
  constructor(
    readonly run: VolumeRun,
    readonly random: Random,
  ) {}

  #inodes(filter: (inode: ModelInode) => boolean): number[] {
    return [...this.run.model.live.values()].filter(filter).map((inode) => inode.ino);
  }

  #directory(): number {
    const { random } = this;
    if (random.chance(0.01)) return this.#any();
    return random.pick(this.#inodes((i) => isDirectory(i) && (i.nlink > 0 || random.chance(0.1))));
  }

  #any(): number {
    if (this.random.chance(0.02)) return inodeNumber(ALLOCATOR.local, 999_999);
    return this.random.pick(this.#inodes(() => true));
  }

  /** A regular file; undefined when there is none. */
  #file(): number | undefined {
    const files = this.#inodes(isRegular);
    return files.length === 0 ? undefined : this.random.pick(files);
  }

  #name(directory?: number): string {
    const { random } = this;
    const names = [...(this.run.model.live.get(directory ?? 0)?.names.keys() ?? [])];
    return names.length > 0 && random.chance(0.9) ? random.pick(names) : random.pick(NAMES);
  }

  #newName(directory: number): string {
    const { random } = this;
    if (random.chance(0.01)) return random.pick(BAD_NAMES);
    return random.chance(0.9) ? random.pick(NAMES) : this.#name(directory);
  }

  #offset(): number {
    const { random } = this;
    const near = random.weighted([
      [3, () => random.below(6 * BLOCK)],
      [3, () => Math.max(0, random.below(7) * BLOCK + random.between(-1, 1))],
      [1, () => random.below(64) * BLOCK],
      [0.4, () => random.pick([2 ** 31, 2 ** 40, 2 ** 32 + 5]) + random.below(3 * BLOCK)],
    ]);
    return near();
  }

  #size(ino: number): number {
    const size = this.run.model.live.get(ino)?.size ?? 0;
    return this.random.chance(0.5) ? this.random.below(size + 1) : this.#offset();
  }

  readonly #hold = (): ((ino: number) => boolean) => {
    const isHeld = this.random.chance(0.3);
    return (ino) => {
      if (isHeld) this.run.held.add(ino);
      return isHeld;
    };
  };

  readonly #who = { uid: 7, gid: 8 };

  create(): void {
    const { run, random } = this;
    if (run.model.live.size > MAX_INODES) {
      this.unlink();
      return;
    }
    const directory = this.#directory();
    const name = this.#newName(directory);
    const what = random.weighted<{ mode: number; rdev?: number; target?: string }>([
      [6, { mode: S_IFREG | 0o644 }],
      [3, { mode: S_IFDIR | 0o755 }],
      [1, { mode: S_IFLNK | 0o777, target: 'x/\xe9'.repeat(random.below(5)) }],
      [0.5, { mode: S_IFIFO | 0o600 }],
    ]);
    run.change(
      `create ${name} in ${directory}`,
      (model) => model.create(this.#who, directory, name, what, run.realInode),
      () => run.volume.create(this.#who, directory, name, what).ino,
    );
  }

  createUnnamed(): void {
    const { run } = this;
    const directory = this.#directory();
    const mode = S_IFREG | 0o600;
    run.change(
      `tmpfile in ${directory}`,
      (model) =>
        model.createUnnamed(this.#who, directory, mode, () => {
          const ino = run.realInode();
          run.held.add(ino);
          return ino;
        }),
      () => run.volume.createUnnamed(this.#who, directory, mode).ino,
    );
  }

  link(): void {
    const { run, random } = this;
    const orphans = this.#inodes((i) => isRegular(i) && i.nlink === 0);
    const ino = orphans.length > 0 && random.chance(0.3) ? random.pick(orphans) : this.#any();
    const directory = this.#directory();
    const name = this.#newName(directory);
    run.change(
      `link ${ino} as ${name} in ${directory}`,
      (model) => model.link(ino, directory, name, run.real),
      () => run.volume.link(ino, directory, name),
    );
  }

  unlink(): void {
    const { run } = this;
    const directory = this.#directory();
    const name = this.#name(directory);
    const hold = this.#hold();
    run.change(
      `unlink ${name} in ${directory}`,
      (model) => model.unlink(directory, name, hold, run.real),
      () => run.volume.unlink(directory, name, hold),
    );
  }

  removeDirectory(): void {
    const { run, random } = this;
    const { live } = run.model;
    const directory = this.#directory();
    const empty = [...(live.get(directory)?.names ?? [])].filter(([, ino]) => {
      const child = live.get(ino);
      return child !== undefined && isDirectory(child) && child.names.size === 0;
    });
    const isEmpty = empty.length > 0 && random.chance(0.7);
    const name = isEmpty ? random.pick(empty)[0] : this.#name(directory);
    const hold = this.#hold();
    run.change(
      `rmdir ${name} in ${directory}`,
      (model) => model.removeDirectory(directory, name, hold, run.real),
      () => run.volume.removeDirectory(directory, name, hold),
    );
  }

  release(): void {
    const { run, random } = this;
    if (run.held.size === 0) return;
    const ino = random.pick([...run.held]);
    run.held.delete(ino);
    run.change(
      `release ${ino}`,
      (model) => model.release(ino, run.real),
      () => run.volume.release(ino),
    );
  }

  rename(): void {
    const { run, random } = this;
    const from = this.#directory();
    const name = this.#name(from);
    const to = random.chance(0.5) ? from : this.#directory();
    const newName = random.chance(0.01) ? random.pick(BAD_NAMES) : this.#name(to);
    const how = random.weighted<'plain' | 'noreplace' | 'exchange'>([
      [4, 'plain'],
      [1, 'noreplace'],
      [2, 'exchange'],
    ]);
    const { live } = run.model;
    // What the kernel never asks: a directory into itself.
    const source = live.get(live.get(from)?.names.get(name) ?? 0);
    const target = live.get(live.get(to)?.names.get(newName) ?? 0);
    if (source !== undefined && run.model.isBelow(to, source.ino)) return;
    if (target !== undefined && run.model.isBelow(from, target.ino)) return;
    const hold = this.#hold();
    const flags = { plain: 0, noreplace: 1, exchange: 2 }[how];
    run.change(
      `rename ${name} in ${from} to ${newName} in ${to} (${how})`,
      (model) => model.rename(from, name, to, newName, how, hold, run.real),
      () => run.volume.rename(from, name, to, newName, flags, hold),
    );
  }

  write(): void {
    const { run, random } = this;
    const ino = this.#file();
    if (ino === undefined) return;
    const size = run.model.live.get(ino)?.size ?? 0;
    let offset = random.chance(0.3) ? size : this.#offset();
    let length = random.weighted([
      [4, random.below(200)],
      [3, random.below(3 * BLOCK)],
      [1, BLOCK * random.between(1, 3)],
    ]);
    if (random.chance(0.15)) {
      offset = Math.floor(offset / BLOCK) * BLOCK;
      length = BLOCK * random.between(1, 2);
    }
    if (random.chance(0.005)) offset = 2 ** 52 - 10;
    const data = random.chance(0.05) ? Buffer.alloc(length) : random.bytes(length);
    run.change(
      `write ${length} bytes at ${offset} of ${ino}`,
      (model) => model.write(ino, offset, data, run.real),
      () => run.volume.write(ino, offset, data),
    );
  }

  truncate(): void {
    const { run, random } = this;
    const ino = random.chance(0.02) ? this.#any() : this.#file();
    if (ino === undefined) return;
    this.#setAttributes(ino, { size: random.chance(0.1) ? 0 : this.#size(ino) });
    if (random.chance(0.3) && run.model.live.has(ino)) {
      const again = { size: this.#size(ino) };
      this.#setAttributes(ino, again);
    }
  }

  setAttributes(): void {
    const { random, run } = this;
    const change: AttributeChange = {};
    if (random.chance(0.4)) change.mode = random.below(0o10000);
    if (random.chance(0.3)) change.uid = random.pick([0, 5, 2 ** 32 - 2]);
    if (random.chance(0.3)) change.gid = random.below(100);
    const time = { s: random.pick([-5, 0, 2 ** 33, 1_700_000_000]), ns: random.below(1e9) };
    if (random.chance(0.3)) change.mtime = random.pick([time, 'now' as const]);
    if (random.chance(0.3)) change.atime = random.pick([time, 'now' as const]);
    const ino = this.#any();
    if (run.model.live.has(ino) || random.chance(0.3)) this.#setAttributes(ino, change);
  }

  #setAttributes(ino: number, change: AttributeChange): void {
    const { run } = this;
    run.change(
      `setattr of ${ino} ${JSON.stringify(change)}`,
      (model) => model.setAttributes(ino, change, run.real),
      () => run.volume.setAttributes(ino, change),
    );
  }

  punch(): void {
    const { run, random } = this;
    const ino = this.#file();
    if (ino === undefined) return;
    const offset = this.#offset();
    const length = random.pick([random.below(2 * BLOCK), BLOCK, 4 * BLOCK, 2 ** 41]);
    run.change(
      `punch ${length} bytes at ${offset} of ${ino}`,
      (model) => model.punch(ino, offset, length, run.real),
      () => allocate(run.volume, ino, offset, length, KEEP_SIZE | PUNCH_HOLE),
    );
  }

  copyRange(): void {
    const { run, random } = this;
    const from = this.#file();
    const to = this.#file();
    if (from === undefined || to === undefined || from === to) return;
    const [fromOffset, toOffset] = [this.#offset(), this.#offset()];
    const length = random.below(5 * BLOCK);
    run.change(
      `copy ${length} bytes at ${fromOffset} of ${from} to ${toOffset} of ${to}`,
      (model) => model.copyRange(from, fromOffset, to, toOffset, length, run.realNumber),
      () => run.volume.copyRange(from, fromOffset, to, toOffset, length),
    );
  }

  xattr(): void {
    const { run, random } = this;
    const ino = this.#any();
    const name = random.pick(XATTRS);
    if (random.chance(0.4)) {
      run.change(
        `remove xattr ${name} of ${ino}`,
        (model) => model.removeXattr(ino, name, run.real),
        () => run.volume.xattrs.remove(ino, name),
      );
      return;
    }
    const value = random.bytes(random.pick([0, 1, 20, 5000]));
    const flags = random.weighted([
      [4, 0],
      [1, 1],
      [1, 2],
    ]);
    run.change(
      `set xattr ${name} of ${ino}`,
      (model) => model.setXattr(ino, name, value, flags, run.real),
      () => run.volume.xattrs.set(ino, name, value, flags),
    );
  }

  save(): void {
    const { run, random } = this;
    const { snapshots } = run.model;
    if (snapshots.length > 9) {
      this.deleteSnapshot();
      return;
    }
    const user = snapshots.filter((s) => s.kind === 'user');
    const isTaken = user.length > 0 && random.chance(0.05);
    run.save(isTaken ? random.pick(user).name : `s${random.below(1e6)}`);
  }

  undo(): void {
    this.run.undo(this.random.pick([undefined, undefined, 'back', 'forward'] as const));
  }

  restore(): void {
    const { run, random } = this;
    if (run.model.snapshots.length > 0) run.restore(random.pick(run.model.snapshots).name);
  }

  deleteSnapshot(): void {
    const { run, random } = this;
    if (run.model.snapshots.length > 0) run.deleteSnapshot(random.pick(run.model.snapshots).name);
  }

  pinSnapshot(): void {
    const { run, random } = this;
    const { snapshots } = run.model;
    if (snapshots.length > 0 && run.pinned.length < 4) {
      run.pinSnapshot(random.pick(snapshots).name);
    }
  }

  renameSnapshot(): void {
    const { run, random } = this;
    if (run.model.snapshots.length === 0) return;
    run.renameSnapshot(random.pick(run.model.snapshots).name, `r${random.below(1e6)}`);
  }
}
