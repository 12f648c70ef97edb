/**
 * Adds up what versions take, by who reads them. A version costs a few
 * additions, however many tops read it: sums over runs of tops are kept as
 * differences, and counts over runs come from prefix sums.
 */
import type { Holders, Owner } from './holders.js';
import type { LayerTour } from './layer-tour.js';
import type { Readers } from './place-versions.js';

/** What the bytes of all versions belong to; each to the first of these that applies. */
export interface Totals {
  /** The live tree reads them. */
  liveBytes: number;
  /** The live tree of another branch does. */
  branchBytes: number;
  /** A snapshot does. */
  snapshotBytes: number;
  /** The volume keeps them for merges, forks and applies. */
  keptBytes: number;
  /** A snapshot that is being received, or a merge that runs, has written them. */
  incomingBytes: number;
  /** Nobody needs them: they are being freed. */
  pendingBytes: number;
}

export interface Figures {
  onlyBytes: number;
  sharedBytes: number;
  referencedBytes: number;
}

/** Of the first so many kept tops, how many are of a kind. */
type Prefix = Int32Array;

export class Accounts {
  readonly totals: Totals = {
    liveBytes: 0,
    branchBytes: 0,
    snapshotBytes: 0,
    keptBytes: 0,
    incomingBytes: 0,
    pendingBytes: 0,
  };
  /** What the whole set holds and nobody else. */
  freedBytes = 0;
  /** The newest top that read the last version that only the set holds: its layer. */
  freedTop = 0;
  readonly #kept: readonly number[];
  readonly #ownersOf: readonly (readonly Owner[])[];
  readonly #only = new Map<Owner, number>();
  /** The most tops that one owner releases. */
  readonly #ownedMax: number;
  readonly #referenced: Float64Array;
  readonly #shared: Float64Array;
  readonly #isLive: Prefix;
  readonly #isBranch: Prefix;
  readonly #isSnapshot: Prefix;
  readonly #isInSet: Prefix;

  /** `live`: the layer that the live tree writes. `set`: what is deleted together. */
  constructor(tour: LayerTour, holders: Holders, live: number, set: ReadonlySet<Owner>) {
    const { kept } = tour;
    this.#kept = kept;
    this.#ownersOf = kept.map((layer) => holders.soleOwnersOf(layer));
    const counts = new Map<Owner, number>();
    for (const owner of this.#ownersOf.flat()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    this.#ownedMax = Math.max(1, ...counts.values());
    this.#referenced = new Float64Array(kept.length + 1);
    this.#shared = new Float64Array(kept.length + 1);
    const lives = new Set(holders.lives.values());
    const isSnapshot = (layer: number): boolean =>
      holders.holdersOf(layer).some(({ kind }) => kind === 'snapshot');
    const released = holders.releasedBy(set);
    this.#isLive = prefixOf(kept, (layer) => layer === live);
    this.#isBranch = prefixOf(kept, (layer) => lives.has(layer));
    this.#isSnapshot = prefixOf(kept, isSnapshot);
    this.#isInSet = prefixOf(kept, (layer) => set.size > 0 && released.has(layer));
  }

  /** Versions with these readers take so many bytes. True: only the set holds them. */
  add(readers: Readers, bytes: number): boolean {
    const count = readers.to - readers.from - cutLength(readers.cuts);
    if (count <= 0) {
      this.totals.pendingBytes += bytes;
      return false;
    }
    const isLive = sum(this.#isLive, readers) > 0;
    spread(this.#referenced, readers, bytes);
    if (isLive) spread(this.#shared, readers, bytes);
    if (count <= this.#ownedMax) this.#addOnly(readers, bytes);
    if (isLive) this.totals.liveBytes += bytes;
    else if (sum(this.#isBranch, readers) > 0) this.totals.branchBytes += bytes;
    else if (sum(this.#isSnapshot, readers) > 0) this.totals.snapshotBytes += bytes;
    else this.totals.keptBytes += bytes;
    if (sum(this.#isInSet, readers) < count) return false;
    this.freedBytes += bytes;
    this.freedTop = this.#kept[lastOf(readers)] as number;
    return true;
  }

  /** Those that release all of these tops. */
  #addOnly({ from, to, cuts }: Readers, bytes: number): void {
    let owners: readonly Owner[] | undefined;
    for (let at = from, cut = 0; at < to; at++) {
      if (at === cuts[cut]) {
        at = (cuts[cut + 1] as number) - 1;
        cut += 2;
        continue;
      }
      const own = this.#ownersOf[at] as readonly Owner[];
      owners = owners === undefined ? own : owners.filter((owner) => own.includes(owner));
      if (owners.length === 0) return;
    }
    for (const owner of owners ?? []) this.#only.set(owner, this.onlyOf(owner) + bytes);
  }

  onlyOf(owner: Owner): number {
    return this.#only.get(owner) ?? 0;
  }

  /** By the layer of a kept top: what it shares with the live tree, and what it references. */
  figures(): Map<number, Omit<Figures, 'onlyBytes'>> {
    const figures = new Map<number, Omit<Figures, 'onlyBytes'>>();
    let [referencedBytes, sharedBytes] = [0, 0];
    for (const [at, layer] of this.#kept.entries()) {
      referencedBytes += this.#referenced[at] as number;
      sharedBytes += this.#shared[at] as number;
      figures.set(layer, { sharedBytes, referencedBytes });
    }
    return figures;
  }
}

function prefixOf(kept: readonly number[], is: (layer: number) => boolean): Prefix {
  const prefix = new Int32Array(kept.length + 1);
  for (const [at, layer] of kept.entries()) {
    prefix[at + 1] = (prefix[at] as number) + (is(layer) ? 1 : 0);
  }
  return prefix;
}

function between(prefix: Prefix, from: number, to: number): number {
  return (prefix[to] as number) - (prefix[from] as number);
}

function sum(prefix: Prefix, { from, to, cuts }: Readers): number {
  let total = between(prefix, from, to);
  for (let i = 0; i < cuts.length; i += 2) {
    total -= between(prefix, cuts[i] as number, cuts[i + 1] as number);
  }
  return total;
}

function cutLength(cuts: readonly number[]): number {
  let length = 0;
  for (let i = 0; i < cuts.length; i += 2) length += (cuts[i + 1] as number) - (cuts[i] as number);
  return length;
}

function addAt(differences: Float64Array, at: number, bytes: number): void {
  differences[at] = (differences[at] as number) + bytes;
}

function spread(differences: Float64Array, { from, to, cuts }: Readers, bytes: number): void {
  addAt(differences, from, bytes);
  addAt(differences, to, -bytes);
  for (let i = 0; i < cuts.length; i += 2) {
    addAt(differences, cuts[i] as number, -bytes);
    addAt(differences, cuts[i + 1] as number, bytes);
  }
}

/** The last one that is not cut out; there is one. */
function lastOf({ to, cuts }: Readers): number {
  let last = to - 1;
  for (let i = cuts.length - 2; i >= 0 && cuts[i + 1] === last + 1; i -= 2) {
    last = (cuts[i] as number) - 1;
  }
  return last;
}
