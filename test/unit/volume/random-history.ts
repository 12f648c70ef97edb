/** Random operations on a volume, the same for the same seed. */
import { FsError } from '../../../src/lib/errors.js';
import { joinPath } from '../../../src/volume/names/inode-reader.js';
import type { View } from '../../../src/volume/view.js';
import { free, held, type VolumeFixture } from './volume-fixture.js';

/** mulberry32: numbers in [0, below). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return Math.floor((((z ^ (z >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** All paths below the root in a view, directories before what lies in them. */
export function pathsOf(fixture: VolumeFixture, view: View): string[] {
  const paths: string[] = [];
  const walk = (path: string): void => {
    const directory = fixture.at(path, view);
    const names: string[] = [];
    fixture.volume.list(view, directory, 0, (name) => {
      names.push(name);
      return true;
    });
    for (const name of names.sort()) {
      const child = path === '' ? name : `${path}/${name}`;
      paths.push(child);
      if (fixture.at(child, view).isDirectory) walk(child);
    }
  };
  walk('');
  return paths;
}

export class RandomHistory {
  readonly random: (below: number) => number;
  readonly log: string[] = [];
  /** Open but unlinked files. */
  readonly #orphans: number[] = [];
  #saves = 0;

  constructor(
    readonly fixture: VolumeFixture,
    readonly seed: number,
  ) {
    this.random = randomOf(seed);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.random(list.length)];
  }

  /** A name, mostly new, in a directory that is there. */
  #path(): string {
    const { fixture } = this;
    const { live } = fixture.volume;
    const directories = pathsOf(fixture, live).filter((p) => fixture.at(p, live).isDirectory);
    const directory = this.#pick(['', ...directories]) as string;
    return joinPath(directory, NAMES[this.random(NAMES.length)] as string);
  }

  #existing(): string {
    const paths = pathsOf(this.fixture, this.fixture.volume.live);
    return this.#pick(paths) ?? this.#path();
  }

  /** Runs one operation; those that a file system refuses do nothing. */
  step(): void {
    const { fixture } = this;
    const kind = this.random(100);
    fixture.clock.advance(1 + this.random(2000));
    try {
      if (kind < 90) this.#change(kind);
      else this.#command(kind);
    } catch (error) {
      if (!(error instanceof FsError) && !/is not there$/.test(String(error))) throw error;
      if (error instanceof FsError && error.code === 'EIO') throw error;
      this.log.push(`  refused: ${String(error)}`);
    }
  }

  #change(kind: number): void {
    const { fixture, log } = this;
    const path = this.random(2) === 0 ? this.#path() : this.#existing();
    const other = this.random(2) === 0 ? this.#path() : this.#existing();
    const seed = this.random(26);
    const letter = String.fromCharCode(97 + seed);
    if (kind < 15) {
      const fresh = this.#path();
      log.push(`mkdir ${fresh}`);
      fixture.mkdir(fresh);
    } else if (kind < 40) {
      const offset = this.random(3) === 0 ? this.random(20_000) : 0;
      const length = this.random(9000);
      log.push(`write ${path} ${offset} ${length} ${letter}`);
      if (fixture.find(path)?.isRegular === false) return;
      fixture.write(path, letter.repeat(length), offset);
    } else if (kind < 50) {
      const size = this.random(3) === 0 ? 0 : this.random(25_000);
      log.push(`truncate ${path} ${size}`);
      fixture.truncate(path, size);
    } else if (kind < 57) {
      const isHeld = this.random(4) === 0;
      log.push(`unlink ${path} ${isHeld ? 'held' : ''}`);
      const inode = fixture.at(path);
      fixture.unlink(path, isHeld ? held : free);
      const isOrphan = fixture.volume.inode(fixture.volume.live, inode.ino)?.nlink === 0;
      if (isHeld && isOrphan) this.#orphans.push(inode.ino);
    } else {
      this.#changeNames(kind, path, other, letter);
    }
  }

  #changeNames(kind: number, path: string, other: string, letter: string): void {
    const { fixture, log } = this;
    if (kind < 62) {
      log.push(`rmdir ${path}`);
      fixture.rmdir(path);
    } else if (kind < 78) {
      log.push(`rename ${path} ${other}`);
      // What a kernel refuses before it asks.
      if (`${other}/`.startsWith(`${path}/`) || `${path}/`.startsWith(`${other}/`)) return;
      fixture.rename(path, other, this.random(4) === 0 ? 2 : 0);
    } else if (kind < 83) {
      log.push(`link ${path} ${other}`);
      fixture.link(path, other);
    } else if (kind < 86) {
      log.push(`symlink ${other}`);
      fixture.symlink(other, path);
    } else if (kind < 88) {
      log.push(`chmod ${path}`);
      fixture.volume.setAttributes(fixture.at(path).ino, { mode: 0o600 + this.random(64) });
    } else {
      log.push(`xattr ${path}`);
      const { ino } = fixture.at(path);
      if (this.random(3) === 0) fixture.volume.xattrs.remove(ino, 'user.a');
      else fixture.volume.xattrs.set(ino, 'user.a', Buffer.from(letter), 0);
    }
  }

  #command(kind: number): void {
    const { fixture, log } = this;
    const names = fixture.volume.snapshots().map(({ name }) => name);
    const name = this.#pick(names);
    if (kind < 93) {
      log.push(`save s${++this.#saves}`);
      fixture.volume.save(`s${this.#saves}`, 'test');
      // Sometimes the writer is behind, and one group holds two layers.
      if (this.random(2) === 0) fixture.flush();
    } else if (kind < 94 && name !== undefined) {
      log.push(`restore ${name}`);
      fixture.volume.restore(name, 'test');
      this.#orphans.length = 0;
    } else if (kind < 96 && name !== undefined && names.length > 3) {
      log.push(`delete ${name}`);
      fixture.volume.deleteSnapshot(name, 'test');
    } else if (kind < 97) {
      log.push('release');
      const ino = this.#orphans.pop();
      if (ino !== undefined) fixture.volume.release(ino);
    } else if (kind < 98) {
      const slices = this.random(4);
      log.push(`collect ${slices}`);
      fixture.collect(slices);
    } else if (kind < 99) {
      log.push('flush');
      fixture.flush();
    } else {
      log.push('reopen');
      fixture.close();
      this.#orphans.length = 0;
    }
  }
}
