/**
 * A file whose bytes the base has since an apply: they were given back there
 * (rules G1–G7 in native-notes/format.md). Pure.
 */
import { type Clip, type Clips, clipsAfter, isClipped } from './clips.js';
import { MAX_CLIPS } from './records/tables.js';

export interface Given {
  /** Block versions at or before (layer, step) do not count; the base's bytes count instead. */
  readonly layer: number;
  readonly step: number;
  /** The base file that has the bytes. */
  readonly ref: {
    readonly path: string;
    readonly device: number;
    readonly hostInode: number;
    readonly size: number;
    readonly mtimeS: number;
    readonly mtimeNs: number;
    readonly ctimeS: number;
    readonly ctimeNs: number;
  };
}

/** What of an inode decides which of its block versions count. */
export interface Hiding {
  readonly clips: Clips;
  readonly given: Given | undefined;
}

/** Whether the base has what a version, written at (layer, step), had. */
export function isGiven(given: Given | undefined, layer: number, step: number): boolean {
  if (given === undefined) return false;
  return layer < given.layer || (layer === given.layer && step <= given.step);
}

/** Whether a version, written at (layer, step), of the block at byte `offset` does not count. */
export function isHidden(
  { clips, given }: Hiding,
  offset: number,
  layer: number,
  step: number,
): boolean {
  return isGiven(given, layer, step) || (clips.length > 0 && isClipped(clips, offset, layer, step));
}

/** Both have given the same version, or none. */
export function isSameGiven(a: Given | undefined, b: Given | undefined): boolean {
  return a?.layer === b?.layer && a?.step === b?.step;
}

/**
 * The clips of a record that takes its bytes back: nothing from before the version counts, as
 * before (rule G5).
 */
export function clipsTakenBack(clips: Clips, { layer, step }: Given): Clips {
  const isWhole = clips.some(({ size }) => size === 0);
  const clip: Clip = { layer, step, size: 0 };
  return isWhole ? clips : [...clips, clip];
}

/** `clipsAfter`, with room for the clip that a file gets when it takes its bytes back. */
export function clipsAfterCut({ clips, given }: Hiding, cut: Clip): Clips | undefined {
  return clipsAfter(clips, cut, given === undefined ? MAX_CLIPS : MAX_CLIPS - 1);
}
