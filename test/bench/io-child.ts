/**
 * The jobs that a process of its own does on a file system under test, timed
 * from inside, without the start-up: `node io-child.js JOB ARGUMENT…`. Prints
 * one line of JSON.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { randomFrom } from './source-tree.js';

const PAGE_BYTES = 4096;
const CHUNK_BYTES = 1024 * 1024;

function timedMs(body: () => void): number {
  const start = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

/** 1 MiB that compresses badly, each page of it different in each chunk. */
function fillChunk(chunk: Buffer, index: number): void {
  for (let at = 0; at < chunk.length; at += PAGE_BYTES)
    chunk.writeDoubleLE(index + at / CHUNK_BYTES, at);
}

function noise(bytes: number): Buffer {
  const random = randomFrom(7);
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 4) buffer.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  return buffer;
}

function writeChunks(fd: number, chunks: number): void {
  const chunk = noise(CHUNK_BYTES);
  for (let i = 0; i < chunks; i++) {
    fillChunk(chunk, i);
    writeSync(fd, chunk, 0, chunk.length, i * CHUNK_BYTES);
  }
  fsyncSync(fd);
}

function sequential(path: string, chunks: number): number {
  return timedMs(() => {
    const fd = openSync(path, 'w');
    writeChunks(fd, chunks);
    closeSync(fd);
  });
}

/** The places and contents of the random writes: page numbers. */
function* randomPages(chunks: number, count: number): Generator<number> {
  const random = randomFrom(11);
  const pages = (chunks * CHUNK_BYTES) / PAGE_BYTES;
  for (let i = 0; i < count; i++) yield Math.floor(random() * pages);
}

function randomWrites(path: string, chunks: number, count: number): number {
  const page = noise(PAGE_BYTES);
  const fd = openSync(path, 'r+');
  const ms = timedMs(() => {
    let i = 0;
    for (const at of randomPages(chunks, count)) {
      page.writeUInt32LE(i++, 0);
      writeSync(fd, page, 0, PAGE_BYTES, at * PAGE_BYTES);
    }
    fsyncSync(fd);
  });
  closeSync(fd);
  return ms;
}

/** What the files of `sequential` and `randomWrites` must hold. */
function expectedDigest(chunks: number, count: number): string {
  const all = Buffer.alloc(chunks * CHUNK_BYTES);
  const chunk = noise(CHUNK_BYTES);
  for (let i = 0; i < chunks; i++) {
    fillChunk(chunk, i);
    chunk.copy(all, i * CHUNK_BYTES);
  }
  const page = noise(PAGE_BYTES);
  let i = 0;
  for (const at of randomPages(chunks, count)) {
    page.writeUInt32LE(i++, 0);
    page.copy(all, at * PAGE_BYTES);
  }
  return createHash('sha256').update(all).digest('hex');
}

function fileDigest(path: string): string {
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const fd = openSync(path, 'r');
  for (let got = readSync(fd, chunk); got > 0; got = readSync(fd, chunk))
    hash.update(chunk.subarray(0, got));
  closeSync(fd);
  return hash.digest('hex');
}

/** One digest over names, types, modes, sizes, times of files, targets and contents. */
function treeDigest(root: string, withTimes: boolean): { digest: string; entries: number } {
  const hash = createHash('sha256');
  let entries = 0;
  const visit = (directory: string): void => {
    for (const name of readdirSync(join(root, directory)).sort()) {
      const path = directory === '' ? name : `${directory}/${name}`;
      if (path === '.git') continue;
      const stat = lstatSync(join(root, path));
      entries += 1;
      hash.update(`${path}\0${stat.mode}\0`);
      if (stat.isDirectory()) visit(path);
      else if (stat.isSymbolicLink()) hash.update(readlinkSync(join(root, path)));
      else {
        hash.update(`${stat.size}\0${withTimes ? stat.mtimeMs : ''}\0`);
        hash.update(readFileSync(join(root, path)));
      }
    }
  };
  visit('');
  return { digest: hash.digest('hex'), entries };
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `file-${i}`);

function createEmpty(directory: string, count: number): number {
  mkdirSync(directory);
  const paths = names(count).map((name) => join(directory, name));
  return timedMs(() => {
    for (const path of paths) closeSync(openSync(path, 'wx'));
  });
}

function unlinkAll(directory: string, count: number): number {
  const paths = names(count).map((name) => join(directory, name));
  return timedMs(() => {
    for (const path of paths) unlinkSync(path);
  });
}

const FILES_PER_DIRECTORY = 100;

export function numberedPath(root: string, i: number): string {
  return join(root, `d${Math.floor(i / FILES_PER_DIRECTORY)}`, `f${i}`);
}

/** `count` files of 200 bytes, a hundred in a directory. */
function populate(root: string, count: number): number {
  const text = Buffer.from('shadow '.repeat(29).slice(0, 200));
  return timedMs(() => {
    for (let i = 0; i < count; i++) {
      if (i % FILES_PER_DIRECTORY === 0) mkdirSync(join(root, `d${i / FILES_PER_DIRECTORY}`));
      const fd = openSync(numberedPath(root, i), 'wx');
      writeSync(fd, text);
      closeSync(fd);
    }
  });
}

/** Overwrites the first bytes of `count` files of a populated tree, spread over it. */
function change(root: string, files: number, count: number, stamp: string): number {
  const text = Buffer.from(stamp);
  return timedMs(() => {
    for (let i = 0; i < count; i++) {
      const fd = openSync(numberedPath(root, Math.floor((i * files) / count)), 'r+');
      writeSync(fd, text, 0, text.length, 0);
      closeSync(fd);
    }
  });
}

/** Opens, reads 4 KiB and closes each of the first `count` files of a populated tree. */
function readEach(root: string, count: number): number {
  const page = Buffer.alloc(PAGE_BYTES);
  return timedMs(() => {
    for (let i = 0; i < count; i++) {
      const fd = openSync(numberedPath(root, i), 'r');
      readSync(fd, page, 0, PAGE_BYTES, 0);
      closeSync(fd);
    }
  });
}

function oneByte(path: string, offset: number): { ms: number; fsyncMs: number } {
  let fsyncMs = 0;
  const ms = timedMs(() => {
    const fd = openSync(path, 'r+');
    writeSync(fd, Buffer.from('!'), 0, 1, offset);
    fsyncMs = timedMs(() => fsyncSync(fd));
    closeSync(fd);
  });
  return { ms: ms - fsyncMs, fsyncMs };
}

/** A small append and its flush, as a measure of the disk. */
function flush(path: string): number {
  const fd = openSync(path, 'a');
  writeSync(fd, Buffer.alloc(PAGE_BYTES, 1));
  const ms = timedMs(() => fdatasyncSync(fd));
  closeSync(fd);
  return ms;
}

const JOBS: Record<string, (path: string, a: number, b: number, c: string) => object> = {
  sequential: (path, chunks) => ({ ms: sequential(path, chunks) }),
  'random-writes': (path, chunks, count) => ({ ms: randomWrites(path, chunks, count) }),
  'file-digest': (path) => ({ digest: fileDigest(path) }),
  'expected-digest': (_path, chunks, count) => ({ digest: expectedDigest(chunks, count) }),
  'tree-digest': (path, withTimes) => treeDigest(path, withTimes === 1),
  create: (path, count) => ({ ms: createEmpty(path, count) }),
  unlink: (path, count) => ({ ms: unlinkAll(path, count) }),
  populate: (path, count) => ({ ms: populate(path, count) }),
  change: (path, files, count, stamp) => ({ ms: change(path, files, count, stamp) }),
  'read-each': (path, count) => ({ ms: readEach(path, count) }),
  'one-byte': (path, offset) => oneByte(path, offset),
  flush: (path) => ({ ms: flush(path) }),
};

const [job = '', path = '', a = '0', b = '0', c = ''] = process.argv.slice(2);
const work = JOBS[job];
if (work === undefined) throw new Error(`no job ${job}`);
process.stdout.write(`${JSON.stringify(work(path, Number(a), Number(b), c))}\n`);
