/** Jobs for the figures of transfers: trees of noise, changes in them, and what a program feels meanwhile. */
import { closeSync, mkdirSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CHUNK_BYTES, noise, PAGE_BYTES, timedMs } from './content.js';

const FILES_PER_DIRECTORY = 200;
const CALL_FILES = 200;

const fileOf = (root: string, i: number): string =>
  join(root, `d${Math.floor(i / FILES_PER_DIRECTORY)}`, `f${i}`);

/** No two files, and no two pages of a file, are alike. */
export function fill(root: string, files: number, bytes: number): number {
  const chunk = noise(Math.min(bytes, CHUNK_BYTES));
  return timedMs(() => {
    for (let i = 0; i < files; i++) {
      if (i % FILES_PER_DIRECTORY === 0) mkdirSync(join(root, `d${i / FILES_PER_DIRECTORY}`));
      const fd = openSync(fileOf(root, i), 'wx');
      for (let at = 0; at < bytes; at += chunk.length) {
        const length = Math.min(chunk.length, bytes - at);
        for (let page = 0; page + 8 <= length; page += PAGE_BYTES) {
          chunk.writeDoubleLE(i + (at + page) / 2 ** 40, page);
        }
        writeSync(fd, chunk, 0, length, at);
      }
      closeSync(fd);
    }
  });
}

/** Rewrites every `step`th of the files. */
export function rewrite(root: string, files: number, bytes: number, step: number, round: number) {
  const content = noise(bytes);
  content.writeDoubleLE(round, 0);
  return timedMs(() => {
    for (let i = round % step; i < files; i += step) {
      const fd = openSync(fileOf(root, i), 'r+');
      writeSync(fd, content, 0, bytes, 0);
      closeSync(fd);
    }
  });
}

export interface Calls {
  calls: number;
  meanUs: number;
  medianUs: number;
  p99Us: number;
}

/** For so long, what a program at work does: opens a file, reads it, writes 4 KiB, asks for its size. */
export function work(root: string, ms: number): Calls {
  const page = noise(PAGE_BYTES);
  mkdirSync(root, { recursive: true });
  const times: number[] = [];
  const end = performance.now() + ms;
  for (let i = 0; performance.now() < end; i++) {
    const start = performance.now();
    const path = join(root, `w${i % CALL_FILES}`);
    const fd = openSync(path, 'a+');
    readSync(fd, page, 0, PAGE_BYTES, 0);
    writeSync(fd, page, 0, PAGE_BYTES);
    closeSync(fd);
    statSync(path);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const sum = times.reduce((a, b) => a + b, 0);
  const us = (part: number): number =>
    1000 * (times[Math.floor(times.length * part)] ?? Number.NaN);
  return {
    calls: times.length,
    meanUs: (1000 * sum) / times.length,
    medianUs: us(0.5),
    p99Us: us(0.99),
  };
}
