/** Jobs on the data of one file. */
import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import {
  CHUNK_BYTES,
  checkPages,
  fillChunk,
  noise,
  PAGE_BYTES,
  randomPages,
  timedMs,
} from './content.js';

export function writeSequentially(path: string, chunks: number): number {
  const chunk = noise(CHUNK_BYTES);
  return timedMs(() => {
    const fd = openSync(path, 'w');
    for (let i = 0; i < chunks; i++) {
      fillChunk(chunk, i);
      writeSync(fd, chunk, 0, chunk.length, i * CHUNK_BYTES);
    }
    fsyncSync(fd);
    closeSync(fd);
  });
}

export function readSequentially(path: string, chunks: number): number {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  return timedMs(() => {
    const fd = openSync(path, 'r');
    for (let i = 0; i < chunks; i++) {
      const got = readSync(fd, chunk, 0, chunk.length, i * CHUNK_BYTES);
      if (got !== chunk.length) throw new Error(`${path}: ${got} bytes of chunk ${i}`);
      checkPages(chunk, (i * CHUNK_BYTES) / PAGE_BYTES);
    }
    closeSync(fd);
  });
}

export function readRandomly(path: string, chunks: number, count: number): number {
  const page = Buffer.alloc(PAGE_BYTES);
  return timedMs(() => {
    const fd = openSync(path, 'r');
    for (const at of randomPages(chunks, count)) {
      readSync(fd, page, 0, PAGE_BYTES, at * PAGE_BYTES);
      checkPages(page, at);
    }
    closeSync(fd);
  });
}

export function writeRandomly(path: string, chunks: number, count: number): number {
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

const logLine = (i: number): string => `${String(i).padStart(8, '0')} ${'shadow '.repeat(13)}\n`;

/** Appends lines as a log does, each of them flushed: the ms of each. */
export function appendLines(path: string, count: number): number[] {
  const fd = openSync(path, 'a');
  const each = Array.from({ length: count }, (_, i) =>
    timedMs(() => {
      writeSync(fd, logLine(i));
      fsyncSync(fd);
    }),
  );
  closeSync(fd);
  return each;
}

export function expectedLines(count: number): string {
  return Array.from({ length: count }, (_, i) => logLine(i)).join('');
}

/** One byte into an existing file. */
export function writeByte(path: string, offset: number): { ms: number; fsyncMs: number } {
  let fsyncMs = 0;
  const ms = timedMs(() => {
    const fd = openSync(path, 'r+');
    writeSync(fd, Buffer.from('!'), 0, 1, offset);
    fsyncMs = timedMs(() => fsyncSync(fd));
    closeSync(fd);
  });
  return { ms: ms - fsyncMs, fsyncMs };
}

export function readByte(path: string, offset: number): string {
  const byte = Buffer.alloc(1);
  const fd = openSync(path, 'r');
  readSync(fd, byte, 0, 1, offset);
  closeSync(fd);
  return byte.toString('latin1');
}

/** A small append and its flush, as a measure of the disk. */
export function flush(path: string): number {
  const fd = openSync(path, 'a');
  writeSync(fd, Buffer.alloc(PAGE_BYTES, 1));
  const ms = timedMs(() => fdatasyncSync(fd));
  closeSync(fd);
  return ms;
}
