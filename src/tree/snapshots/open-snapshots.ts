/**
 * The snapshots behind shadow nodes: one view of each, shared by all its nodes
 * and dropped with the last one. Knows whether the snapshot still exists, also
 * under another name.
 */
import { FsError } from '../../lib/errors.js';
import type { View } from '../../volume/view.js';
import type { SnapshotRecord, TreeVolume } from '../tree-volume.js';

export class OpenSnapshot {
  /** Number of shadow trees that use it. */
  users = 0;
  #name: string;

  constructor(
    readonly volume: TreeVolume,
    readonly layer: number,
    readonly view: View,
    name: string,
  ) {
    this.#name = name;
  }

  /** The snapshot under its current name. Throws ESTALE when it was deleted. */
  get record(): SnapshotRecord {
    const known = this.volume.snapshot(this.#name);
    if (known !== undefined && known.layer === this.layer) return known;
    const renamed = this.volume.snapshots().find((snapshot) => snapshot.layer === this.layer);
    if (renamed === undefined) throw new FsError('ESTALE', 'snapshot', this.#name);
    this.#name = renamed.name;
    return renamed;
  }

  /** The view. Throws ESTALE when the snapshot was deleted. */
  get checkedView(): View {
    void this.record;
    return this.view;
  }
}

export class OpenSnapshots {
  readonly #byLayer = new Map<number, OpenSnapshot>();

  constructor(readonly volume: TreeVolume) {}

  use(snapshot: SnapshotRecord): OpenSnapshot {
    let open = this.#byLayer.get(snapshot.layer);
    if (open === undefined) {
      const view = this.volume.viewOf(snapshot);
      open = new OpenSnapshot(this.volume, snapshot.layer, view, snapshot.name);
      this.#byLayer.set(snapshot.layer, open);
    }
    open.users++;
    return open;
  }

  drop(open: OpenSnapshot): void {
    open.users--;
    if (open.users === 0) this.#byLayer.delete(open.layer);
  }

  /** A view for short use, which is not kept. */
  peek(snapshot: SnapshotRecord): View {
    return this.#byLayer.get(snapshot.layer)?.view ?? this.volume.viewOf(snapshot);
  }
}
