/**
 * The versions of one place, and which kept tops read each of them: those that
 * come from its layer, without those that come from a newer version's, or from
 * a layer where the inode's record hides it (rule D13, as collector/garbage.ts
 * decides it).
 *
 * Places of one inode mostly look alike (a file that was written at once), so
 * what was found for the last one is used again for as long as they do.
 */
import type { LayerTour } from './layer-tour.js';
import type { InodeHiding } from './hiding.js';

/**
 * Kept tops as the tour numbers them: from … to - 1, without the runs in `cuts` (from, to, from,
 * to, …: ascending, disjoint).
 */
export interface Readers {
  from: number;
  to: number;
  cuts: readonly number[];
}

const NO_CUTS: readonly number[] = [];
const NOBODY: Readers = { from: 0, to: 0, cuts: NO_CUTS };

/** A layer that a version or a record of the inode lies in. */
interface Node {
  place: number;
  /** Index of the version; −1: none. */
  version: number;
  /** Index of the inode's record that may hide others; −1: none. */
  hiding: number;
}

export type Take = (readers: Readers, bytes: number, layerPlace: number) => void;

export class PlaceVersions {
  #count = 0;
  readonly #places: number[] = [];
  readonly #layers: number[] = [];
  readonly #steps: number[] = [];
  readonly #bytes: number[] = [];
  /** Of the block; undefined: it is none. */
  #offset: number | undefined;

  /** What was found for places that look like the last one, and what they take together. */
  #found: Readers[] = [];
  #foundPlaces: number[] = [];
  #foundLayers: number[] = [];
  #foundSteps: number[] = [];
  #foundBytes: number[] = [];
  #foundOffset: number | undefined;

  constructor(
    readonly tour: LayerTour,
    readonly hiding: InodeHiding,
    readonly take: Take,
  ) {}

  begin(offset: number | undefined): void {
    this.#count = 0;
    this.#offset = offset;
  }

  /** Newest first, as the keys are. An older step of a layer is read by nobody. */
  add(layer: number, place: number, step: number, bytes: number): void {
    const at = this.#count++;
    this.#places[at] = place;
    this.#layers[at] = layer;
    this.#steps[at] = step;
    this.#bytes[at] = bytes;
  }

  /** All versions of the place are here. */
  end(): void {
    if (this.#count === 0) return;
    if (this.#count === 1 && this.hiding.count === 0) {
      const place = this.#places[0] as number;
      this.take(this.#descendants(place), this.#bytes[0] as number, place);
      return;
    }
    if (!this.#looksAlike()) {
      this.flush();
      this.#find();
    }
    for (let i = 0; i < this.#count; i++) {
      this.#foundBytes[i] = (this.#foundBytes[i] as number) + (this.#bytes[i] as number);
    }
  }

  /** After the last place of the inode, and before its hiding changes. */
  flush(): void {
    for (const [i, readers] of this.#found.entries()) {
      this.take(readers, this.#foundBytes[i] as number, this.#foundPlaces[i] as number);
    }
    this.#found = [];
    this.#foundLayers = [];
    this.#foundBytes = [];
  }

  /** The same layers and steps, and the same clips count for both. */
  #looksAlike(): boolean {
    if (this.#count !== this.#foundLayers.length) return false;
    for (let i = 0; i < this.#count; i++) {
      if (this.#layers[i] !== this.#foundLayers[i] || this.#steps[i] !== this.#foundSteps[i]) {
        return false;
      }
    }
    return this.hiding.count === 0 || this.hiding.isAlike(this.#foundOffset, this.#offset);
  }

  #find(): void {
    const count = this.#count;
    this.#foundOffset = this.#offset;
    this.#foundPlaces = this.#places.slice(0, count);
    this.#foundLayers = this.#layers.slice(0, count);
    this.#foundSteps = this.#steps.slice(0, count);
    this.#foundBytes = new Array<number>(count).fill(0);
    const found = new Array<Readers>(count).fill(NOBODY);
    const nodes = this.#nodes();
    for (const [index, node] of nodes.entries()) {
      if (node.version >= 0) found[node.version] = this.#readers(nodes, index);
    }
    this.#found = found;
  }

  /** The layers of the versions and of the inode's records, in the order of the tour. */
  #nodes(): Node[] {
    const byPlace = new Map<number, Node>();
    for (let version = 0; version < this.#count; version++) {
      const place = this.#places[version] as number;
      // The newest step comes first.
      if (place >= 0 && !byPlace.has(place)) byPlace.set(place, { place, version, hiding: -1 });
    }
    for (let hiding = 0; hiding < this.hiding.count; hiding++) {
      const place = this.hiding.placeAt(hiding);
      const node = byPlace.get(place);
      if (node === undefined) byPlace.set(place, { place, version: -1, hiding });
      else node.hiding = hiding;
    }
    return [...byPlace.values()].sort((a, b) => a.place - b.place);
  }

  #readers(nodes: readonly Node[], index: number): Readers {
    const { place, version, hiding } = nodes[index] as Node;
    if (hiding >= 0 && this.#isHidden(hiding, version)) return NOBODY;
    const end = this.tour.endOf(place);
    const cuts: number[] = [];
    for (let next = index + 1; next < nodes.length; ) {
      const node = nodes[next] as Node;
      if (node.place >= end) break;
      if (node.version < 0 && !this.#isHidden(node.hiding, version)) {
        next++;
        continue;
      }
      const nodeEnd = this.tour.endOf(node.place);
      const [from, to] = [this.tour.keptAt(node.place), this.tour.keptAt(nodeEnd)];
      if (to > from) cuts.push(from, to);
      next = firstFrom(nodes, next + 1, nodeEnd);
    }
    const readers = this.#descendants(place);
    return cuts.length === 0 ? readers : { ...readers, cuts };
  }

  #isHidden(hiding: number, version: number): boolean {
    const layer = this.#layers[version] as number;
    return this.hiding.hides(hiding, this.#offset, layer, this.#steps[version] as number);
  }

  #descendants(place: number): Readers {
    if (place < 0) return NOBODY;
    const { tour } = this;
    return { from: tour.keptAt(place), to: tour.keptAt(tour.endOf(place)), cuts: NO_CUTS };
  }
}

/** Index of the first node from `low` on whose place is not before `place`. */
function firstFrom(nodes: readonly Node[], low: number, place: number): number {
  let [from, to] = [low, nodes.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((nodes[middle] as Node).place < place) from = middle + 1;
    else to = middle;
  }
  return from;
}
