/** What is measured of shadowfs alone, on a volume without a base. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from '../image.js';
import type { Goal, Measured } from '../report/measured.js';
import type { Shadowfs } from '../systems/shadowfs.js';
import type { Place } from '../systems/system.js';

export interface FigureContext {
  image: Image;
  system: Shadowfs;
  isQuick: boolean;
  /** Sizes of the tree, and of what is changed in it. */
  files: readonly number[];
  changes: readonly number[];
  say: (message: string) => void;
}

export interface FigureResult {
  /** Tables for people. */
  sections: string[];
  /** What has a target, or is worth recording. */
  rows: Measured[];
}

export interface FigureSet {
  /** What can be asked for. */
  names: readonly string[];
  measure(context: FigureContext, wanted: ReadonlySet<string>): Promise<FigureResult>;
}

export function ownRow(
  { system }: FigureContext,
  name: string,
  title: string,
  unit: Measured['unit'],
  values: number[],
  target?: Goal,
): Measured {
  return {
    name,
    title,
    unit,
    ...(target !== undefined && { target }),
    rounds: { [system.name]: values },
    memoryBytes: {},
  };
}

/** A mounted volume for as long as `body` runs, which leaves it mounted. */
export async function withVolume<T>(
  { image, system }: FigureContext,
  name: string,
  body: (place: Place) => Promise<T>,
): Promise<T> {
  const place = {
    data: join(image.disk, name),
    mountpoint: join(image.directory, 'mounts', name),
  };
  mkdirSync(place.mountpoint, { recursive: true });
  system.mount(place);
  const result = await body(place);
  system.check(place);
  system.unmount(place);
  rmSync(place.data, { recursive: true });
  return result;
}

/** The command line's time, its own start included. */
export function timedCli({ system }: FigureContext, place: Place, ...words: string[]): number {
  const start = process.hrtime.bigint();
  system.cli(...words, '-C', place.mountpoint);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

export const counted = (count: number): string => count.toLocaleString('en');
