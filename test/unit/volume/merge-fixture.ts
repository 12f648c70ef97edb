/** Two branches of one volume, changed and merged, for tests. */
import { settledWith, workNow } from '../../../src/lib/work.js';
import { ROOT_INODE } from '../../../src/format/records/tables.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../src/lib/file-mode.js';
import type { Inode } from '../../../src/volume/inode.js';
import {
  type MergeAnswer,
  MergeConflicts,
  type MergeHost,
  type MergeRequest,
  Merging,
  type PlannedMerge,
} from '../../../src/volume/merge/merge.js';
import type { Volume } from '../../../src/volume/volume.js';
import { free, VolumeFixture, WHO } from './volume-fixture.js';

/** A branch, as a mount of it works with it. */
export class Work {
  constructor(
    readonly fixture: VolumeFixture,
    readonly volume: Volume,
  ) {}

  find(path: string): Inode | undefined {
    const { volume } = this;
    let inode = volume.inode(volume.live, ROOT_INODE);
    for (const name of path.split('/').filter((part) => part !== '')) {
      if (inode === undefined) return undefined;
      inode = volume.lookup(volume.live, inode, name);
    }
    return inode;
  }

  at(path: string): Inode {
    const inode = this.find(path);
    if (inode === undefined) throw new Error(`${path} is not there`);
    return inode;
  }

  #split(path: string): [number, string] {
    this.fixture.clock.advance(10);
    const cut = path.lastIndexOf('/');
    return [this.at(cut < 0 ? '' : path.slice(0, cut)).ino, path.slice(cut + 1)];
  }

  mkdir(path: string, mode = 0o755): number {
    return this.volume.create(WHO, ...this.#split(path), { mode: S_IFDIR | mode }).ino;
  }

  symlink(path: string, target: string): void {
    this.volume.create(WHO, ...this.#split(path), { mode: S_IFLNK | 0o777, target });
  }

  node(path: string, mode: number, rdev: number): void {
    this.volume.create(WHO, ...this.#split(path), { mode, rdev });
  }

  /** The file's whole content is this. */
  write(path: string, content: string | Buffer): number {
    const split = this.#split(path);
    const found = this.find(path);
    const ino = found?.ino ?? this.volume.create(WHO, ...split, { mode: S_IFREG | 0o644 }).ino;
    const bytes = Buffer.from(content as string, 'latin1');
    this.volume.setAttributes(ino, { size: 0 });
    this.volume.write(ino, 0, bytes);
    return ino;
  }

  /** As an editor saves. */
  replace(path: string, content: string): void {
    this.write(`${path}.new`, content);
    this.rename(`${path}.new`, path);
  }

  patch(path: string, offset: number, content: string): void {
    this.fixture.clock.advance(10);
    this.volume.write(this.at(path).ino, offset, Buffer.from(content));
  }

  truncate(path: string, size: number): void {
    this.fixture.clock.advance(10);
    this.volume.setAttributes(this.at(path).ino, { size });
  }

  chmod(path: string, mode: number): void {
    this.fixture.clock.advance(10);
    this.volume.setAttributes(this.at(path).ino, { mode });
  }

  chown(path: string, uid: number): void {
    this.volume.setAttributes(this.at(path).ino, { uid });
  }

  setXattr(path: string, name: string, value: string | null): void {
    const { ino } = this.at(path);
    if (value === null) this.volume.xattrs.remove(ino, name);
    else this.volume.xattrs.set(ino, name, Buffer.from(value), 0);
  }

  xattr(path: string, name: string): string | undefined {
    const value = this.volume.readAttribute(this.volume.live, this.at(path), name);
    return value === undefined ? undefined : Buffer.from(value).toString();
  }

  link(path: string, newPath: string): void {
    this.volume.link(this.at(path).ino, ...this.#split(newPath));
  }

  unlink(path: string): void {
    this.volume.unlink(...this.#split(path), free);
  }

  rmdir(path: string): void {
    this.volume.removeDirectory(...this.#split(path), free);
  }

  /** As `rm -r`. */
  remove(path: string): void {
    const inode = this.at(path);
    if (!inode.isDirectory) {
      this.unlink(path);
      return;
    }
    for (const name of this.names(path)) this.remove(`${path}/${name}`);
    this.rmdir(path);
  }

  rename(path: string, newPath: string): void {
    this.volume.rename(...this.#split(path), ...this.#split(newPath), 0, free);
  }

  names(path: string): string[] {
    const names: string[] = [];
    this.volume.list(this.volume.live, this.at(path), 0, (name) => {
      names.push(name);
      return true;
    });
    return names.sort();
  }

  text(path: string): string {
    const inode = this.at(path);
    const bytes = Buffer.alloc(inode.size);
    this.volume.read(this.volume.live, inode, 0, bytes.length, bytes, 0);
    return bytes.toString('latin1');
  }

  /** Everything, one line for each name. */
  tree(path = ''): Record<string, string> {
    const lines: Record<string, string> = {};
    for (const name of this.names(path)) {
      const child = path === '' ? name : `${path}/${name}`;
      const inode = this.at(child);
      if (inode.isDirectory) lines[child] = '/';
      else if (inode.isSymlink) lines[child] = `-> ${inode.target}`;
      else lines[child] = inode.isRegular ? this.text(child) : `node ${inode.rdev}`;
      Object.assign(lines, inode.isDirectory ? this.tree(child) : {});
    }
    return lines;
  }

  merge(
    branch: string,
    resolve?: MergeRequest['resolve'],
    host: Partial<MergeHost> = {},
  ): MergeAnswer {
    const { volume } = this;
    const request = { branch, source: 'test', ...(resolve !== undefined && { resolve }) };
    const whole: MergeHost = {
      pause: () => settledWith<void>(undefined),
      onProgress: () => undefined,
      adopt: (change) => {
        const { answer, from } = volume.core.withReserve(change);
        volume.leaveBehind(from);
        return settledWith(answer);
      },
      ...host,
    };
    const merging = new Merging(volume.branchCommands);
    const answer = workNow(merging.run(request, whole), () => this.fixture.flush());
    this.fixture.flush();
    return answer;
  }

  plan(branch: string): PlannedMerge {
    this.fixture.flush();
    return workNow(new Merging(this.volume.branchCommands).plan({ branch }));
  }

  /** Reasons and paths of the conflicts for which a merge is refused. */
  conflicts(branch: string): string[] {
    const before = this.tree();
    try {
      this.merge(branch);
    } catch (error) {
      if (!(error instanceof MergeConflicts)) throw error;
      const after = this.tree();
      if (JSON.stringify(before) !== JSON.stringify(after)) throw new Error('the tree changed');
      return error.conflicts.map(
        ({ reasons, oursPath, theirsPath }) =>
          `${reasons.join('+')} ${oursPath ?? '-'} ${theirsPath ?? '-'}`,
      );
    }
    return ['none'];
  }
}

/** Main and the branch `b`, forked from it after `fill`. */
export class TwoBranches extends VolumeFixture {
  #ours: Work | undefined;
  #theirs: Work | undefined;

  fill(fill: (work: Work) => void): void {
    fill(new Work(this, this.volume));
    this.volume.branchCommands.fork('b', {}, 'test');
    this.flush();
  }

  get ours(): Work {
    this.#ours ??= new Work(this, this.volume);
    return this.#ours;
  }

  get theirs(): Work {
    this.#theirs ??= new Work(this, this.volume.at('b'));
    return this.#theirs;
  }

  reopen(): void {
    this.close();
    this.#ours = undefined;
    this.#theirs = undefined;
  }
}
