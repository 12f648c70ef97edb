/**
 * File data while the writer thread stores behind it: random writes, cuts,
 * holes, copies, saves and restores of a few files, with copies in memory of
 * what they and the snapshots must hold. The other model tests store in the
 * caller's thread, so that groups never close while work goes on; here they do.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { realClock } from '../../src/lib/clock.js';
import { allocate } from '../../src/tree/live/space.js';
import { createVolume } from '../../src/volume/create-volume.js';
import { DEFAULT_OPTIONS } from '../../src/volume/options.js';
import type { View } from '../../src/volume/view.js';
import { Volume } from '../../src/volume/volume.js';
import { Random } from './random.js';

const OPERATIONS = 20_000;
const FILES = 3;
const LENGTH_MAX = 1 << 20;
const IO_MAX = 70_000;
const KEEP_SIZE = 1;
const PUNCH = 2;
const ZERO = 16;
const NO_WAKE = -1;

interface Kept {
  name: string;
  contents: Buffer[];
}

class FileWork {
  readonly path = mkdtempSync(join(tmpdir(), 'threads-'));
  readonly volume: Volume;
  readonly inos: number[];
  contents: Buffer[];
  readonly #kept: Kept[] = [];
  readonly #out = Buffer.alloc(2 * LENGTH_MAX);
  #saved = 0;

  constructor(readonly random: Random) {
    const { path } = this;
    const who = { uid: 0, gid: 0 };
    createVolume({ path, options: DEFAULT_OPTIONS, clock: realClock(), ...who });
    this.volume = Volume.open({ path, writer: { kind: 'thread', wakeFd: NO_WAKE } });
    this.inos = Array.from(
      { length: FILES },
      (_, n) => this.volume.create(who, 1, `f${n}`, { mode: 0o100644 }).ino,
    );
    this.contents = this.inos.map(() => Buffer.alloc(0));
  }

  close(): void {
    this.volume.close();
    rmSync(this.path, { recursive: true });
  }

  #place(end: number): number {
    const at = this.random.below(Math.max(1, end));
    return this.random.chance(0.3) ? at - (at % this.random.pick([512, 4096, 32_768])) : at;
  }

  #length(): number {
    return 1 + this.random.below(this.random.pick([300, 5000, 4096, IO_MAX]));
  }

  /** Writes into the copy, which grows with zeros if need be. */
  #put(n: number, at: number, data: Buffer): void {
    const content = this.contents[n] ?? Buffer.alloc(0);
    const grown = Buffer.alloc(Math.max(content.length, at + data.length));
    content.copy(grown);
    data.copy(grown, at);
    this.contents[n] = grown;
  }

  compare(view: View, contents: readonly Buffer[], what: string): void {
    for (const [n, expected] of contents.entries()) {
      const inode = this.volume.inode(view, this.inos[n] ?? 0);
      assert.equal(inode?.size, expected.length, `size of f${n} in ${what}`);
      const count = this.volume.read(view, inode, 0, this.#out.length, this.#out, 0);
      assert.ok(this.#out.subarray(0, count).equals(expected), `content of f${n} in ${what}`);
    }
  }

  compareAll(): void {
    this.compare(this.volume.live, this.contents, 'the live tree');
    for (const { name, contents } of this.#kept) {
      const snapshot = this.volume.requireSnapshot(name);
      this.compare(this.volume.viewOf(snapshot), contents, name);
    }
  }

  write(n: number): void {
    const length = this.contents[n]?.length ?? 0;
    const at = this.#place(Math.min(LENGTH_MAX - IO_MAX, length + IO_MAX));
    const data = Buffer.alloc(this.#length(), 1 + this.random.below(255));
    this.volume.write(this.inos[n] ?? 0, at, data);
    this.#put(n, at, data);
  }

  truncate(n: number): void {
    const content = this.contents[n] ?? Buffer.alloc(0);
    const size = this.#place(this.random.chance(0.3) ? LENGTH_MAX : content.length + 1);
    this.volume.setAttributes(this.inos[n] ?? 0, { size });
    this.contents[n] = Buffer.from(content.subarray(0, size));
    this.#put(n, size, Buffer.alloc(0));
  }

  allocate(n: number): void {
    const mode = this.random.pick([PUNCH | KEEP_SIZE, ZERO, ZERO | KEEP_SIZE, 0, KEEP_SIZE]);
    const at = this.#place(LENGTH_MAX - IO_MAX);
    const length = this.#length();
    allocate(this.volume, this.inos[n] ?? 0, at, length, mode);
    const content = this.contents[n] ?? Buffer.alloc(0);
    if ((mode & (PUNCH | ZERO)) !== 0) content.subarray(at, at + length).fill(0);
    if ((mode & KEEP_SIZE) === 0) this.#put(n, at + length, Buffer.alloc(0));
  }

  copy(n: number): void {
    const content = this.contents[n] ?? Buffer.alloc(0);
    const from = this.#place(content.length);
    const to = this.#place(LENGTH_MAX - IO_MAX);
    const length = Math.min(this.#length(), content.length - from);
    if (length <= 0 || Math.abs(from - to) < length) return;
    const ino = this.inos[n] ?? 0;
    const copied = this.volume.copyRange(ino, from, ino, to, length);
    this.#put(n, to, Buffer.from(content.subarray(from, from + copied)));
  }

  save(): void {
    const name = `s${this.#saved++}`;
    this.volume.save(name, 'test');
    this.#kept.push({ name, contents: [...this.contents].map((content) => Buffer.from(content)) });
    if (this.#kept.length <= 5) return;
    const [gone] = this.#kept.splice(this.random.below(5), 1);
    this.volume.deleteSnapshot(gone?.name ?? '', 'test');
  }

  restore(): void {
    if (this.#kept.length === 0) return;
    const { name, contents } = this.random.pick(this.#kept);
    this.volume.restore(name, 'test');
    this.contents = contents.map((content) => Buffer.from(content));
  }
}

t.test('file data, stored by a thread while work goes on', (t) => {
  const seed = Number(process.env['SHADOWFS_MODEL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.comment(`SHADOWFS_MODEL_SEED=${seed}`);
  const random = new Random(seed);
  const work = new FileWork(random);
  t.teardown(() => work.close());
  const choices: [number, (n: number) => void][] = [
    [300, (n) => work.write(n)],
    [80, (n) => work.truncate(n)],
    [80, (n) => work.allocate(n)],
    [40, (n) => work.copy(n)],
    [20, () => work.volume.pump()],
    [4, () => work.volume.commit()],
    [1, () => work.volume.flush()],
    [1, () => work.save()],
    [1, () => work.restore()],
    [2, () => work.compareAll()],
  ];
  for (let i = 0; i < OPERATIONS; i++) {
    while (!work.volume.beginChange()) work.volume.flush();
    random.weighted(choices)(random.below(FILES));
  }
  work.compareAll();
  work.volume.flush();
  work.compareAll();
  t.pass(`${OPERATIONS} operations`);
  t.end();
});
