/**
 * Truncation markers of an inode (rule D4): what they hide, and what another
 * truncation makes of them. Pure. Reading (`block-map.ts`), writing
 * (`file-data.ts`), the collector, streams, diff and `check` ask these functions.
 */
import { MAX_CLIPS } from './records/tables.js';

/** Block versions before (layer, step), and base bytes, don't count at or beyond `size` bytes. */
export interface Clip {
  readonly layer: number;
  readonly step: number;
  readonly size: number;
}

/** Newest first; the sizes fall. */
export type Clips = readonly Clip[];

/** True when (layer, step) was written before the clip was made. */
function isBefore(layer: number, step: number, clip: Clip): boolean {
  return layer < clip.layer || (layer === clip.layer && step < clip.step);
}

/** Whether a version, written at (layer, step), of the block that begins at byte `offset` is hidden. */
export function isClipped(clips: Clips, offset: number, layer: number, step: number): boolean {
  for (const clip of clips) {
    if (clip.size <= offset && isBefore(layer, step, clip)) return true;
  }
  return false;
}

/**
 * How many of a base file's `size` bytes count. They end at a block: a clip's partial last block
 * was rewritten.
 */
export function clippedBase(clips: Clips, size: number, blockSize: number): number {
  let end = size;
  for (const clip of clips) end = Math.min(end, Math.ceil(clip.size / blockSize) * blockSize);
  return end;
}

/**
 * The clips after a truncation, which is `cut`. It drops those of its size or more. Undefined when
 * there are too many: then a hole is to be written over each block from `cut.size` on that has a
 * record (base bytes are hidden there already, by a smaller clip).
 */
export function clipsAfter(clips: Clips, cut: Clip, max = MAX_CLIPS): Clips | undefined {
  const smaller = clips.filter(({ size }) => size < cut.size);
  return smaller.length < max ? [cut, ...smaller] : undefined;
}

function isSameClip(a: Clip, b: Clip): boolean {
  return a.layer === b.layer && a.step === b.step && a.size === b.size;
}

/** True when the same versions are hidden. */
export function areSameClips(a: Clips, b: Clips): boolean {
  return a.length === b.length && a.every((clip, i) => isSameClip(clip, b[i] as Clip));
}

/** The smallest size of a clip that only one of the two has; undefined: they have the same ones. */
export function firstDifference(a: Clips, b: Clips): number | undefined {
  const without = (these: Clips, those: Clips): number[] =>
    these.filter((clip) => !those.some((other) => isSameClip(clip, other))).map(({ size }) => size);
  const sizes = [...without(a, b), ...without(b, a)];
  return sizes.length === 0 ? undefined : Math.min(...sizes);
}

/** What is wrong with the number and the order of stored clips, in words. */
export function clipFaults(clips: Clips): string[] {
  const faults: string[] = [];
  if (clips.length > MAX_CLIPS) faults.push(`it has ${clips.length} clips`);
  for (const [i, clip] of clips.entries()) {
    const newer = clips[i - 1];
    if (newer === undefined) continue;
    if (clip.size >= newer.size) faults.push('the sizes of the clips do not fall');
    if (!isBefore(clip.layer, clip.step, newer)) faults.push('the clips are not in order');
  }
  return faults;
}
