/**
 * The layer in which a merge is made: over our sealed tree, in the state
 * *staging*, so that nobody sees it until it is adopted (format.md, rules F7 and M5).
 * The same parts that change a live tree change it.
 */
import { TABLE } from '../../format/records/tables.js';
import { inodePlace } from '../../format/records/keys.js';
import { Branch, Seat } from '../branches/branch.js';
import type { LayerChanges } from '../commit/txg.js';
import { FileData } from '../files/file-data.js';
import { Xattrs } from '../files/xattrs.js';
import type { Layer } from '../lineage.js';
import { Directories } from '../names/directories.js';
import { Inodes } from '../names/inode-reader.js';
import { Namespace } from '../names/namespace.js';
import { View } from '../view.js';
import type { Volume } from '../volume.js';

class StagingSeat extends Seat {
  override get isStandby(): boolean {
    return false;
  }

  override changes(): LayerChanges {
    return this.branch.core.changesOf(this.live.top);
  }
}

export class MergeLayer {
  readonly layer: Layer;
  readonly inodes: Inodes;
  readonly directories: Directories;
  readonly data: FileData;
  readonly xattrs: Xattrs;
  readonly names: Namespace;
  readonly #seat: Seat;

  constructor(
    readonly volume: Volume,
    readonly parent: number,
  ) {
    const { core, catalog } = volume;
    this.layer = {
      number: catalog.takeLayer(),
      parent,
      fileset: core.fileset,
      branch: volume.seat.branch.name,
      state: 'staging',
      createdMs: core.clock.nowMs(),
    };
    core.layers.add(this.layer);
    catalog.putLayer(this.layer);
    catalog.putMerging(this.layer.number);
    const { number } = this.layer;
    const view = new View(core.fileset, number, core.layers.lineage(number), true);
    // It bears no name, so that no command finds it; its cache follows what is stored.
    const branch = new Branch(core, '', view);
    core.branches.add(branch);
    this.#seat = new StagingSeat(branch);
    this.inodes = new Inodes(core, this.#seat, volume.inodes.baseIds);
    this.directories = new Directories(core, this.#seat, this.inodes);
    this.data = new FileData(core, this.#seat, this.inodes, volume.blocks);
    this.xattrs = new Xattrs(core, this.#seat, this.inodes);
    this.names = new Namespace(core, this.#seat, this.inodes, this.directories, this.data, () =>
      volume.newInodeNumber(),
    );
  }

  get view(): View {
    return this.#seat.live;
  }

  changes(): LayerChanges {
    return this.#seat.changes();
  }

  /** A layer below has, or had, an inode of this number, or the base has: it can't be new here. */
  isKnown(ino: number): boolean {
    const place = inodePlace(this.layer.fileset, ino);
    return this.volume.core.newest(TABLE.inodes, place, this.view) !== undefined;
  }

  /** It becomes a sealed layer; the caller puts a live tree over it in the same transaction. */
  seal(): void {
    this.layer.state = 'sealed';
    this.layer.sealedMs = this.volume.core.clock.nowMs();
    this.volume.catalog.putLayer(this.layer);
    this.#end();
  }

  /** From now on it is garbage. */
  drop(): void {
    this.seal();
  }

  #end(): void {
    this.volume.core.branches.delete(this.#seat.branch);
    this.volume.catalog.putMerging(undefined);
  }
}
