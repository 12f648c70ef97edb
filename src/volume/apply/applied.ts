/**
 * What of the tree was applied to the base (rule A5): the layers at which the
 * base was made equal to the tree, or to parts of it. They are pinned, since the
 * next apply starts from what they show.
 */
import { BASE_LAYER } from '../../format/records/tables.js';
import type { TableReader } from '../../store/reader.js';
import { readMeta } from '../catalog.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { SnapshotCommands } from '../snapshots/snapshot-commands.js';
import type { TreeMoves } from '../snapshots/tree-moves.js';
import type { Volume } from '../volume.js';
import type { Part } from './journal.js';

const APPLIED_META = 'applied';

/** The layers that the parts name, for who pins them. */
export function appliedLayers(reader: TableReader): number[] {
  const parts = readMeta<Part[]>(reader, APPLIED_META) ?? [];
  return parts.map(({ layer }) => layer).filter((layer) => layer !== BASE_LAYER);
}

/** The whole tree first, then parts of it. Layers that are gone are left out. */
export function appliedParts(volume: ReadableVolume): Part[] {
  const stored = readMeta<Part[]>(volume.store, APPLIED_META) ?? [];
  const known = stored.filter(({ layer }) => volume.layers.has(layer));
  return known[0]?.path === '' ? known : [{ path: '', layer: BASE_LAYER }, ...known];
}

export interface ApplyRecord {
  layer: number;
  source: string;
  timeMs: number;
  details: Record<string, unknown>;
}

export class Applied {
  #pinned: number[] = [];

  constructor(
    readonly volume: Volume,
    readonly commands: SnapshotCommands,
    readonly moves: TreeMoves,
  ) {}

  /** Call when the volume is open. */
  pin(): void {
    const before = this.#pinned;
    this.#pinned = appliedParts(this.volume)
      .map(({ layer }) => layer)
      .filter((layer) => layer !== BASE_LAYER);
    for (const layer of this.#pinned) this.volume.pin(layer);
    for (const layer of before) this.volume.unpin(layer);
  }

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
      : commands.switchTo(volume.live.top, volume.live).sealed.number;
    volume.pin(layer);
    return layer;
  }

  /** Durable with the next commit. */
  set(parts: readonly Part[]): void {
    this.volume.catalog.noteApplied();
    this.volume.catalog.putMeta(APPLIED_META, parts);
    for (const { layer } of parts) {
      if (this.#pinned.includes(layer) || layer === BASE_LAYER) continue;
      this.#pinned.push(layer);
      this.volume.pin(layer);
    }
  }

  /**
   * The base has it now. What it had before stays as an undo snapshot: restored and applied, it
   * undoes this. Returns its name.
   */
  record(parts: readonly Part[], { layer, source, timeMs, details }: ApplyRecord): string {
    const { volume, moves } = this;
    const [whole] = appliedParts(volume);
    const undo = moves.keepAsUndo(whole?.layer ?? BASE_LAYER, timeMs, source, 'base before apply');
    const { pruned } = moves.pruneUndo([undo]);
    this.set(parts);
    volume.catalog.addHistory({
      timeMs,
      command: 'apply',
      layer,
      source,
      outcome: 'applied',
      details: { ...details, undo: undo.name, ...(pruned.length > 0 && { pruned }) },
    });
    return undo.name;
  }
}
