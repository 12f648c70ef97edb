/**
 * A tour of the layer tree, parents before children: what lies above a layer
 * is a run of consecutive numbers. So "which kept tops can see what was written
 * in this layer?" is an interval, and who of them sees a certain version is
 * that interval without a few others.
 */
import type { LayerTree } from '../lineage.js';

export class LayerTour {
  readonly #places = new Map<number, number>();
  /** By place in the tour: the layer's number. */
  readonly layers: number[] = [];
  /** By place: one behind the last layer that comes from this one. */
  readonly #ends: Int32Array;
  /** By place, and one more: how many kept tops come before it. */
  readonly #keptBefore: Int32Array;
  /** The kept tops in the order of the tour: their layers. */
  readonly kept: number[] = [];

  constructor(tree: LayerTree, keptTops: ReadonlySet<number>) {
    const depths: number[] = [];
    const left = tree
      .all()
      .filter(({ parent }) => !tree.has(parent))
      .map(({ number }) => ({ number, depth: 0 }));
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      this.#places.set(at.number, this.layers.length);
      this.layers.push(at.number);
      depths.push(at.depth);
      for (const number of tree.children(at.number)) left.push({ number, depth: at.depth + 1 });
    }
    const count = this.layers.length;
    this.#ends = endsOf(depths);
    this.#keptBefore = new Int32Array(count + 1);
    for (let place = 0; place < count; place++) {
      const layer = this.layers[place] as number;
      if (keptTops.has(layer)) this.kept.push(layer);
      this.#keptBefore[place + 1] = this.kept.length;
    }
  }

  /** The layer's place in the tour; −1: there is no such layer. */
  placeOf(layer: number): number {
    return this.#places.get(layer) ?? -1;
  }

  /** One behind the place of the last layer that comes from this one. */
  endOf(place: number): number {
    return this.#ends[place] as number;
  }

  /** How many kept tops lie before a place: the first one that may see it has this number. */
  keptAt(place: number): number {
    return this.#keptBefore[place] as number;
  }
}

/** A layer's descendants follow it, until one is no deeper. */
function endsOf(depths: readonly number[]): Int32Array {
  const ends = new Int32Array(depths.length).fill(depths.length);
  const open: number[] = [];
  for (const [place, depth] of depths.entries()) {
    while (open.length > depth) ends[open.pop() as number] = place;
    open.push(place);
  }
  return ends;
}
