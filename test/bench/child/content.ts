/** What the files of the data workloads hold: each page known by the number in its first bytes. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { randomFrom } from '../random.js';

export const PAGE_BYTES = 4096;
export const CHUNK_BYTES = 1024 * 1024;

export function timedMs(body: () => void): number {
  const start = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

const stampOf = (pageOfFile: number): number => pageOfFile * (PAGE_BYTES / CHUNK_BYTES);

/** Makes 1 MiB that compresses badly differ in each of its pages, from every other chunk. */
export function fillChunk(chunk: Buffer, index: number): void {
  for (let at = 0; at < chunk.length; at += PAGE_BYTES)
    chunk.writeDoubleLE(index + at / CHUNK_BYTES, at);
}

/** Throws when what was read is not what `fillChunk` wrote there. */
export function checkPages(bytes: Buffer, firstPage: number): void {
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const page = firstPage + at / PAGE_BYTES;
    if (bytes.readDoubleLE(at) !== stampOf(page)) throw new Error(`page ${page} is wrong`);
  }
}

export function noise(bytes: number): Buffer {
  const random = randomFrom(7);
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 4) buffer.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  return buffer;
}

/** The places of the random reads and writes: page numbers. */
export function* randomPages(chunks: number, count: number): Generator<number> {
  const random = randomFrom(11);
  const pages = (chunks * CHUNK_BYTES) / PAGE_BYTES;
  for (let i = 0; i < count; i++) yield Math.floor(random() * pages);
}

/** Of a file as `sequential` writes it, then `random-writes` with so many pages. */
export function expectedDigest(chunks: number, writes: number): string {
  const hash = createHash('sha256');
  const lastWrites = new Map<number, number>();
  let i = 0;
  for (const page of randomPages(chunks, writes)) lastWrites.set(page, i++);
  const chunk = noise(CHUNK_BYTES);
  const page = noise(PAGE_BYTES);
  const pagesPerChunk = CHUNK_BYTES / PAGE_BYTES;
  for (let index = 0; index < chunks; index++) {
    const content = Buffer.from(chunk);
    fillChunk(content, index);
    for (let k = 0; k < pagesPerChunk; k++) {
      const write = lastWrites.get(index * pagesPerChunk + k);
      if (write === undefined) continue;
      page.writeUInt32LE(write, 0);
      page.copy(content, k * PAGE_BYTES);
    }
    hash.update(content);
  }
  return hash.digest('hex');
}

export function fileDigest(path: string): string {
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const fd = openSync(path, 'r');
  for (let got = readSync(fd, chunk); got > 0; got = readSync(fd, chunk))
    hash.update(chunk.subarray(0, got));
  closeSync(fd);
  return hash.digest('hex');
}
