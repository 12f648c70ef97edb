/** A volume in a directory of its own, driven in one process, for tests. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../manual-clock.js';
import { ROOT_INODE } from '../../../src/format/records/tables.js';
import type { WriteTransaction } from '../../../src/store/write-transaction.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { BaseDirectory } from '../../../src/base/base-directory.js';
import { type CheckReport, checkVolumeAt } from '../../../src/check/check.js';
import { createVolume } from '../../../src/volume/create-volume.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../src/lib/file-mode.js';
import type { Inode } from '../../../src/volume/inode.js';
import { InlineSink } from '../../../src/volume/commit/inline-sink.js';
import { DEFAULT_OPTIONS, type VolumeOptions } from '../../../src/volume/options.js';
import type { View } from '../../../src/volume/view.js';
import { Volume } from '../../../src/volume/volume.js';

export const WHO = { uid: 0, gid: 0 };
export const free = (): boolean => false;
export const held = (): boolean => true;

export class VolumeFixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'shadowfs-volume-'));
  readonly path = join(this.directory, 'volume');
  readonly basePath = join(this.directory, 'base');
  readonly clock = new ManualClock();
  readonly hasBase: boolean;
  /** Bytes of the intent log's ring, for the next opening; undefined: none. */
  logBytes: number | undefined;
  #volume: Volume | undefined;

  constructor(
    t: { teardown(body: () => void): unknown },
    options: Partial<VolumeOptions> = {},
    fillBase?: (path: string) => void,
  ) {
    t.teardown(() => {
      this.close();
      execFileSync('rm', ['-rf', this.directory]);
    });
    this.hasBase = fillBase !== undefined;
    mkdirSync(this.basePath);
    fillBase?.(this.basePath);
    const base = this.openBase();
    createVolume({
      path: this.path,
      options: { ...DEFAULT_OPTIONS, blockSize: 4096, ...options },
      clock: this.clock,
      ...(base !== undefined && { base }),
      ...WHO,
    });
    base?.directory.close();
  }

  openBase(): { path: string; directory: BaseDirectory } | undefined {
    if (!this.hasBase) return undefined;
    return { path: this.basePath, directory: BaseDirectory.open(this.basePath) };
  }

  get volume(): Volume {
    if (this.#volume === undefined) {
      const base = this.openBase();
      this.#volume = Volume.open({
        path: this.path,
        clock: this.clock,
        writer: { kind: 'inline' },
        ...(this.logBytes !== undefined && { log: { flush: 'inline', bytes: this.logBytes } }),
        ...(base !== undefined && { base }),
      });
    }
    return this.#volume;
  }

  close(): void {
    this.#volume?.close();
    this.#volume = undefined;
  }

  flush(): void {
    this.volume.flush();
  }

  /** Runs the collector until it has nothing to do, and stores what it reports. */
  collect(slices?: number): number {
    const { sink } = this.volume.core;
    if (!(sink instanceof InlineSink)) throw new Error('an inline writer');
    const done = sink.collect(slices);
    this.flush();
    return done;
  }

  /** The path's inode in a view; parts are separated by slashes. */
  at(path: string, view: View = this.volume.live): Inode {
    const inode = this.find(path, view);
    if (inode === undefined) throw new Error(`${path} is not there`);
    return inode;
  }

  find(path: string, view: View = this.volume.live): Inode | undefined {
    let inode = this.volume.inode(view, ROOT_INODE);
    for (const name of path.split('/').filter((part) => part !== '')) {
      if (inode === undefined) return undefined;
      inode = this.volume.lookup(view, inode, name);
    }
    return inode;
  }

  /** Directory number and name. */
  split(path: string): [number, string] {
    const cut = path.lastIndexOf('/');
    return [this.at(cut < 0 ? '' : path.slice(0, cut)).ino, path.slice(cut + 1)];
  }

  mkdir(path: string): number {
    this.clock.advance(10);
    return this.volume.create(WHO, ...this.split(path), { mode: S_IFDIR | 0o755 }).ino;
  }

  symlink(path: string, target: string): number {
    this.clock.advance(10);
    return this.volume.create(WHO, ...this.split(path), { mode: S_IFLNK | 0o777, target }).ino;
  }

  /** Makes the file if it is not there, and replaces its content from `offset` on. */
  write(path: string, content: string | Buffer, offset = 0): number {
    this.clock.advance(10);
    const ino =
      this.find(path)?.ino ??
      this.volume.create(WHO, ...this.split(path), { mode: S_IFREG | 0o644 }).ino;
    this.volume.write(ino, offset, Buffer.from(content));
    return ino;
  }

  truncate(path: string, size: number): void {
    this.clock.advance(10);
    this.volume.setAttributes(this.at(path).ino, { size });
  }

  link(path: string, newPath: string): void {
    this.clock.advance(10);
    this.volume.link(this.at(path).ino, ...this.split(newPath));
  }

  unlink(path: string, inUse: (ino: number) => boolean = free): void {
    this.clock.advance(10);
    this.volume.unlink(...this.split(path), inUse);
  }

  rmdir(path: string): void {
    this.clock.advance(10);
    this.volume.removeDirectory(...this.split(path), free);
  }

  rename(path: string, newPath: string, flags = 0): void {
    this.clock.advance(10);
    this.volume.rename(...this.split(path), ...this.split(newPath), flags, free);
  }

  save(name: string): void {
    this.clock.advance(1000);
    this.volume.save(name, 'test');
    this.flush();
  }

  restore(name: string): string | undefined {
    this.clock.advance(1000);
    const { undo } = this.volume.restore(name, 'test');
    this.flush();
    return undo;
  }

  view(name: string): View {
    return this.volume.viewOf(this.volume.requireSnapshot(name));
  }

  content(inode: Inode, view: View = this.volume.live): string {
    const out = Buffer.alloc(inode.size);
    this.volume.read(view, inode, 0, inode.size, out, 0);
    return out.toString('latin1');
  }

  /** Stores what is open, closes the volume and changes records as nothing of this project does. */
  damage(body: (tx: WriteTransaction) => void): void {
    this.close();
    const writer = StoreWriter.open(this.path);
    writer.transaction(body);
    writer.close();
  }

  check(deep = true): CheckReport {
    if (this.#volume !== undefined) this.flush();
    const base = this.openBase();
    try {
      return checkVolumeAt({ path: this.path, ...(base !== undefined && { base }) }, { deep });
    } finally {
      base?.directory.close();
    }
  }
}
