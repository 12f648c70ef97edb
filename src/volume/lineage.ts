/**
 * The layer tree and the paths through it (the virtual storage map, rule F1).
 *
 * A lineage is the path from a top layer to the root, held as sorted runs of
 * consecutive numbers. So "is this layer on the path?" and "which is the next
 * one at or below?" cost a binary search, however many layers there are. It
 * still names layers that were folded away later; that does no harm, since no
 * record bears their number any more.
 */
import { invariant } from '../lib/invariant.js';

export interface Layer {
  number: number;
  /** 0: none (the base layer). */
  parent: number;
  fileset: number;
  branch: string;
  /** 'staging': `receive` is filling it, and no view's lineage has it. */
  state: 'base' | 'open' | 'sealed' | 'staging';
  createdMs: number;
  sealedMs?: number;
}

export class Lineage {
  /** Ascending, disjoint [first, last] runs, flattened. */
  readonly #runs: number[];

  constructor(path: readonly number[]) {
    const ascending = [...path].sort((a, b) => a - b);
    const runs: number[] = [];
    for (const layer of ascending) {
      if (runs.length > 0 && runs[runs.length - 1] === layer - 1) runs[runs.length - 1] = layer;
      else runs.push(layer, layer);
    }
    this.#runs = runs;
  }

  /** Index of the last run that starts at or below `layer`, times two; −2 if none. */
  #find(layer: number): number {
    const runs = this.#runs;
    let low = 0;
    let high = runs.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((runs[middle * 2] as number) <= layer) low = middle + 1;
      else high = middle;
    }
    return (low - 1) * 2;
  }

  has(layer: number): boolean {
    const i = this.#find(layer);
    return i >= 0 && layer <= (this.#runs[i + 1] as number);
  }

  /** The largest layer of the path that is ≤ `layer`; 0 if there is none. */
  floor(layer: number): number {
    const i = this.#find(layer);
    return i < 0 ? 0 : Math.min(layer, this.#runs[i + 1] as number);
  }

  /** All layers, newest first. */
  *layers(): Generator<number> {
    for (let i = this.#runs.length - 2; i >= 0; i -= 2) {
      for (let n = this.#runs[i + 1] as number; n >= (this.#runs[i] as number); n--) yield n;
    }
  }
}

export class LayerTree {
  readonly #layers = new Map<number, Layer>();
  readonly #children = new Map<number, Set<number>>();

  add(layer: Layer): void {
    invariant(!this.#layers.has(layer.number), `layer ${layer.number} is new`);
    this.#layers.set(layer.number, layer);
    this.#childSet(layer.parent).add(layer.number);
  }

  #childSet(parent: number): Set<number> {
    let set = this.#children.get(parent);
    if (set === undefined) {
      set = new Set();
      this.#children.set(parent, set);
    }
    return set;
  }

  get(number: number): Layer {
    const layer = this.#layers.get(number);
    invariant(layer !== undefined, `layer ${number} exists`);
    return layer;
  }

  has(number: number): boolean {
    return this.#layers.has(number);
  }

  children(number: number): readonly number[] {
    return [...(this.#children.get(number) ?? [])];
  }

  all(): Layer[] {
    return [...this.#layers.values()].sort((a, b) => a.number - b.number);
  }

  get size(): number {
    return this.#layers.size;
  }

  /** Removes an emptied layer; its children move to its parent. Returns the children. */
  remove(number: number): Layer[] {
    const layer = this.get(number);
    const moved: Layer[] = [];
    for (const child of this.children(number)) {
      const record = this.get(child);
      record.parent = layer.parent;
      this.#childSet(layer.parent).add(child);
      moved.push(record);
    }
    this.#children.get(layer.parent)?.delete(number);
    this.#children.delete(number);
    this.#layers.delete(number);
    return moved;
  }

  /** The path from `top` to the root, newest first. */
  path(top: number): number[] {
    const path: number[] = [];
    let number = top;
    while (number !== 0) {
      path.push(number);
      invariant(path.length <= this.#layers.size, 'the layer tree has no cycle');
      number = this.get(number).parent;
    }
    return path;
  }

  lineage(top: number): Lineage {
    return new Lineage(this.path(top));
  }

  /** The layers of exactly one of the two paths: where two views can differ. */
  difference(a: number, b: number): { onlyA: number[]; onlyB: number[] } {
    const pathA = this.path(a);
    const pathB = this.path(b);
    const inA = new Set(pathA);
    const inB = new Set(pathB);
    return {
      onlyA: pathA.filter((layer) => !inB.has(layer)),
      onlyB: pathB.filter((layer) => !inA.has(layer)),
    };
  }
}
