/**
 * What of the tree was applied to the base (rule A5): the layers at which the
 * base was made equal to the tree, or to parts of it. The collector keeps them
 * (collector/stored-keeps.ts), since the next apply starts from what they show.
 */
import { isWithin } from '../../lib/paths.js';
import { BASE_LAYER } from '../../format/records/tables.js';
import { readMeta, type Snapshot } from '../catalog.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { SnapshotCommands } from '../snapshots/snapshot-commands.js';
import type { TreeMoves } from '../snapshots/tree-moves.js';
import type { BaseState } from '../snapshots/undo-line.js';
import type { Volume } from '../volume.js';
import type { AppliedState, Part, Undoing } from './journal.js';
import { shown } from './obstacle-text.js';

const APPLIED_META = 'applied';

/** The whole tree first, then parts of it. Layers that are gone are left out. */
export function appliedParts(volume: ReadableVolume): Part[] {
  const stored = readMeta<Part[]>(volume.store, APPLIED_META) ?? [];
  const known = stored.filter(({ layer }) => volume.layers.has(layer));
  return known[0]?.path === '' ? known : [{ path: '', layer: BASE_LAYER }, ...known];
}

/** What the base is at these paths, in an order in which it can be made so again. */
export function statesOf(parts: readonly Part[], paths: readonly string[]): AppliedState[] {
  const states: AppliedState[] = [];
  const add = (path: string, layer: number): void => {
    const last = states.at(-1);
    if (last?.layer === layer && path !== '') last.paths.push(path);
    else states.push({ paths: path === '' ? [] : [path], layer });
  };
  for (const path of paths.length === 0 ? [''] : paths) {
    add(path, parts.findLast(({ path: top }) => isWithin(path, top))?.layer ?? BASE_LAYER);
  }
  for (const { path, layer } of parts) {
    const isIn = paths.length === 0 ? path !== '' : paths.some((top) => isBelow(path, top));
    if (isIn) add(path, layer);
  }
  return states;
}

function isBelow(path: string, top: string): boolean {
  return path !== top && isWithin(path, top);
}

export interface ApplyRecord {
  layer: number;
  source: string;
  timeMs: number;
  details: Record<string, unknown>;
  /** What was applied; none: everything. */
  paths: readonly string[];
  undoing?: Undoing;
}

export class Applied {
  constructor(
    readonly volume: Volume,
    readonly commands: SnapshotCommands,
    readonly moves: TreeMoves,
  ) {}

  /** Something was written since the whole tree was applied; it may come to nothing. */
  get isBehind(): boolean {
    const { volume } = this;
    const [whole, ...parts] = appliedParts(volume);
    if (whole === undefined || parts.length > 0 || !volume.openLayerIsEmpty()) return true;
    for (const _change of volume.changes(volume.viewAt(whole.layer), volume.live)) return true;
    return false;
  }

  /**
   * Seals the open layer, unless it is empty. Returns the layer that shows the tree as it is now,
   * pinned once.
   */
  seal(): number {
    const { volume, commands } = this;
    commands.writable();
    const layer = volume.openLayerIsEmpty()
      ? volume.layers.get(volume.live.top).parent
      : commands.switchTo().sealed.number;
    volume.pin(layer);
    return layer;
  }

  /** Durable with the next commit. */
  set(parts: readonly Part[]): void {
    this.volume.catalog.noteApplied();
    this.volume.catalog.putMeta(APPLIED_META, parts);
  }

  /**
   * The base has it now. What it had before stays as undo snapshots, to which `undo` leads back.
   * Returns the first one's name.
   */
  record(parts: readonly Part[], record: ApplyRecord): string | undefined {
    const { undoing, timeMs, layer, source, details, paths } = record;
    // Cut off after it was stored, it is completed once more.
    if (this.#isRecorded(record)) return undefined;
    if (undoing !== undefined) {
      this.#recordUndo(parts, record, undoing);
      return undefined;
    }
    const { volume, moves, commands } = this;
    const before = statesOf(appliedParts(volume), paths);
    const kept = this.#keep(before, record, 'base before apply');
    const { pruned } = moves.pruneUndo(kept.snapshots);
    const detail = paths.map((path) => shown(path)).join(' ');
    commands.line.push({
      command: 'apply',
      ...(detail !== '' && { detail }),
      timeMs,
      before: '',
      base: { before: kept.states },
      ...(details['merged'] !== undefined && { isJoined: true as const }),
    });
    this.set(parts);
    const undo = kept.snapshots[0]?.name;
    volume.catalog.addHistory({
      timeMs,
      command: 'apply',
      layer,
      source,
      outcome: 'applied',
      details: { ...details, undo, ...(pruned.length > 0 && { pruned }) },
    });
    return undo;
  }

  #isRecorded({ timeMs, undoing }: ApplyRecord): boolean {
    const [last] = this.volume.history(1);
    const command = undoing === undefined ? 'apply' : 'undo';
    return last?.command === command && last.timeMs === timeMs;
  }

  #recordUndo(parts: readonly Part[], record: ApplyRecord, undoing: Undoing): void {
    const { direction, what, name } = undoing;
    const { timeMs, layer, source, details } = record;
    this.set(parts);
    if (!undoing.isLast) return;
    const { volume, moves, commands } = this;
    const left = undoing.left.filter((state) => volume.layers.has(state.layer));
    const note = direction === 'back' ? 'base after apply' : 'base before apply';
    const kept = this.#keep(left, record, note);
    commands.line.baseMoved(undoing.timeMs, direction, kept.states);
    const { pruned } = moves.pruneUndo(kept.snapshots);
    volume.catalog.addHistory({
      timeMs,
      command: 'undo',
      name,
      layer,
      source,
      outcome: direction === 'back' ? `took back ${what}` : `again ${what}`,
      details: { ...details, direction, concerns: 'base', ...(pruned.length > 0 && { pruned }) },
    });
  }

  /** States of the base, by snapshots; those that have one get no other. */
  #keep(
    states: readonly AppliedState[],
    { timeMs, source }: ApplyRecord,
    note: string,
  ): { states: BaseState[]; snapshots: Snapshot[] } {
    const { volume, moves } = this;
    const snapshots = states.map(({ layer }) => {
      const known = volume.snapshots().find((one) => one.kind === 'undo' && one.layer === layer);
      return known ?? moves.keepAsUndo(layer, timeMs, source, note);
    });
    const kept = states.map(({ paths }, i) => ({
      paths,
      snapshot: (snapshots[i] as Snapshot).uuid,
    }));
    return { states: kept, snapshots };
  }
}
