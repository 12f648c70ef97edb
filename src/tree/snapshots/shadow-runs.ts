/**
 * Where each run of a shadow inode's blocks is addressed, in the words of
 * Fig 10 (native-notes/design.md, section 10). Pure.
 *
 * A block that the snapshot wrote or saw and that has been overwritten since is
 * *own* when this is the last snapshot on the path that sees it; otherwise it
 * is *preserved* by the most recent snapshot that still sees it. A block that
 * the live file still addresses is *shared*. Bytes in the base file and holes
 * have no address here at all.
 */
import type { BlockRun } from '../tree-volume.js';

/** A run by address: the layer that wrote it. */
export interface AddressedRun {
  offset: number;
  length: number;
  layer: number | 'base' | 'hole';
}

export interface ShadowRun {
  offset: number;
  length: number;
  where: 'own' | 'preserved' | 'shared' | 'base' | 'hole';
  /** With 'preserved': the snapshot's name. */
  snapshot?: string;
}

export function addressed(runs: readonly BlockRun[]): AddressedRun[] {
  return runs.map(({ offset, length, where, layer }) => ({
    offset,
    length,
    layer: where === 'layer' ? (layer ?? 0) : where,
  }));
}

/** The parts of `run` that `others` (ascending) addresses in the same layer, and the rest. */
export function splitByAddress(
  run: AddressedRun,
  others: readonly AddressedRun[],
): { same: AddressedRun[]; rest: AddressedRun[] } {
  const same: AddressedRun[] = [];
  const rest: AddressedRun[] = [];
  const end = run.offset + run.length;
  let at = run.offset;
  for (let i = firstEndingAfter(others, run.offset); i < others.length; i++) {
    const other = others[i] as AddressedRun;
    if (other.offset >= end) break;
    if (other.layer !== run.layer) continue;
    const from = Math.max(at, other.offset);
    const to = Math.min(end, other.offset + other.length);
    if (from > at) rest.push({ offset: at, length: from - at, layer: run.layer });
    same.push({ offset: from, length: to - from, layer: run.layer });
    at = to;
  }
  if (at < end) rest.push({ offset: at, length: end - at, layer: run.layer });
  return { same, rest };
}

function firstEndingAfter(runs: readonly AddressedRun[], offset: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const run = runs[middle] as AddressedRun;
    if (run.offset + run.length <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * `newer`: for each more recent snapshot on the path, the most recent first,
 * its name and its runs, read only when still needed. `live`: the live file's
 * runs, empty when it is gone.
 */
export function classifyRuns(
  runs: readonly AddressedRun[],
  live: readonly AddressedRun[],
  newer: Iterable<{ name: string; runs: readonly AddressedRun[] }>,
): ShadowRun[] {
  const done: ShadowRun[] = [];
  let open: AddressedRun[] = [];
  const settle = (others: readonly AddressedRun[], as: (run: AddressedRun) => ShadowRun): void => {
    const left: AddressedRun[] = [];
    for (const run of open) {
      const { same, rest } = splitByAddress(run, others);
      for (const part of same) done.push(as(part));
      left.push(...rest);
    }
    open = left;
  };
  for (const run of runs) {
    const { offset, length, layer } = run;
    if (typeof layer === 'number') open.push(run);
    else done.push({ offset, length, where: layer });
  }
  settle(live, ({ offset, length }) => ({ offset, length, where: 'shared' }));
  if (open.length > 0) {
    for (const { name, runs: others } of newer) {
      settle(others, ({ offset, length }) => ({
        offset,
        length,
        where: 'preserved',
        snapshot: name,
      }));
      if (open.length === 0) break;
    }
  }
  for (const { offset, length } of open) done.push({ offset, length, where: 'own' });
  return joined(done.sort((a, b) => a.offset - b.offset));
}

function joined(runs: readonly ShadowRun[]): ShadowRun[] {
  const result: ShadowRun[] = [];
  for (const run of runs) {
    const last = result[result.length - 1];
    if (
      last !== undefined &&
      last.where === run.where &&
      last.snapshot === run.snapshot &&
      last.offset + last.length === run.offset
    ) {
      last.length += run.length;
    } else {
      result.push({ ...run });
    }
  }
  return result;
}

/**
 * One line per run: `OFFSET LENGTH WHERE [SNAPSHOT]`. A text above `maxBytes`
 * is cut after a line and ends with `...`.
 */
export function runsText(runs: readonly ShadowRun[], maxBytes: number): string {
  const end = '...\n';
  let text = '';
  for (const { offset, length, where, snapshot } of runs) {
    const line = `${offset} ${length} ${where}${snapshot === undefined ? '' : ` ${snapshot}`}\n`;
    if (Buffer.byteLength(text) + Buffer.byteLength(line) + end.length > maxBytes) {
      return text + end;
    }
    text += line;
  }
  return text;
}
