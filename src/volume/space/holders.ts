/**
 * Who keeps which layer (rule D13): snapshots, branches, and what the volume
 * itself keeps. An *owner* is what a person can delete; a layer that several
 * keep is released when all of them are gone.
 */
import { BASE_LAYER } from '../../format/records/tables.js';
import { MAIN_BRANCH } from '../branches/branch.js';
import { storedKeeps } from '../collector/stored-keeps.js';
import type { Volume } from '../volume.js';
import { partings } from '../merge/partings.js';
import { LayerTour } from './layer-tour.js';

export interface Owner {
  readonly kind: 'snapshot' | 'branch';
  readonly name: string;
}

/** Why a layer is kept. */
interface Reason {
  /** It ends with any one of these; none: nobody ends it. */
  owners: readonly Owner[];
  /** It also ends when no kept top sees this layer any more. */
  while?: number;
  /** When any branch goes, it is found out anew (rule B6). */
  isParting?: true;
}

export class Holders {
  readonly owners: Owner[] = [];
  /** The layer that each branch writes. */
  readonly lives = new Map<string, number>();
  readonly keptTops: ReadonlySet<number>;
  readonly #reasons = new Map<number, Reason[]>();
  readonly #byName = new Map<string, Owner>();
  /** Layers that an owner may release. */
  readonly #layersOf = new Map<Owner, number[]>();
  /** Layers that may be released when others are. */
  readonly #dependent: number[] = [];
  /** States that branches keep in order to be merged. */
  readonly #partings = new Set<number>();
  readonly #tour: LayerTour;
  /** Layer → those without any one of which it is released. */
  readonly #soleOwners = new Map<number, Owner[]>();

  constructor(readonly volume: Volume) {
    const { branches, catalog, store, layers } = volume;
    for (const { name, layer } of catalog.list()) {
      this.#keep(layer, { owners: [this.#owner({ kind: 'snapshot', name })] });
    }
    for (const name of branches.names()) {
      const { number } = branches.openLayer(name);
      this.lives.set(name, number);
      this.#keep(number, { owners: [this.#owner({ kind: 'branch', name })] });
    }
    for (const { layer, branches: names, ...rest } of storedKeeps(store)) {
      const owners = names.filter((name) => name !== MAIN_BRANCH).flatMap(this.#branch);
      this.#keep(layer, { owners, ...rest });
      if (rest.isParting === true) this.#partings.add(layer);
    }
    for (const { layer } of catalog.tentative.values()) this.#keep(layer, { owners: [] });
    // The collector leaves it alone (rule D12).
    this.#keep(BASE_LAYER, { owners: [] });
    const all = [...this.#reasons.keys()];
    this.#tour = new LayerTour(layers, new Set(all));
    const released = this.releasedBy(new Set());
    this.keptTops = new Set(all.filter((layer) => !released.has(layer)));
    for (const owner of this.owners) {
      for (const layer of this.releasedBy(new Set([owner]))) {
        this.#soleOwners.set(layer, [...this.soleOwnersOf(layer), owner]);
      }
    }
  }

  /** A snapshot or a branch of that name. */
  find(kind: Owner['kind'], name: string): Owner | undefined {
    return this.#byName.get(`${kind} ${name}`);
  }

  /** All who have to do with it being kept. */
  holdersOf(layer: number): Owner[] {
    return (this.#reasons.get(layer) ?? []).flatMap(({ owners }) => owners);
  }

  /** Those that keep it alone: without one of them it is released. */
  soleOwnersOf(layer: number): readonly Owner[] {
    return this.#soleOwners.get(layer) ?? [];
  }

  /** The layers that nobody keeps when all of these are gone. */
  releasedBy(gone: ReadonlySet<Owner>): Set<number> {
    const released = new Set<number>();
    const needed = this.#neededWithout(gone);
    const ends = (reason: Reason): boolean =>
      (needed !== undefined && reason.isParting === true) || this.#ends(reason, gone, released);
    const release = (layer: number): boolean => {
      const reasons = this.#reasons.get(layer) ?? [];
      if (needed?.has(layer) === true) return false;
      if (released.has(layer) || !reasons.every((one) => ends(one))) {
        return false;
      }
      released.add(layer);
      return true;
    };
    for (const owner of gone) for (const layer of this.#layersOf.get(owner) ?? []) release(layer);
    if (needed !== undefined) for (const layer of this.#partings) release(layer);
    // One may end the reason of another.
    while (this.#dependent.filter(release).length > 0);
    return released;
  }

  /** What the other branches keep from then on; undefined: no branch is among those. */
  #neededWithout(gone: ReadonlySet<Owner>): Set<number> | undefined {
    const names = new Set([...gone].filter(({ kind }) => kind === 'branch').map(nameOf));
    // It is never deleted: what is said of it is what only the live tree holds.
    names.delete(MAIN_BRANCH);
    if (names.size === 0) return undefined;
    const { catalog, layers } = this.volume;
    const remain = ([name]: readonly [string, unknown]): boolean => !names.has(name);
    const lines = {
      layers,
      tops: new Map([...this.lives].filter(remain)),
      records: new Map([...catalog.branches].filter(remain)),
      merges: catalog.merges.filter(({ branch, into }) => !names.has(branch) && !names.has(into)),
    };
    const forks = [...names].flatMap((name) => catalog.branches.get(name)?.fork ?? []);
    return new Set([...partings(lines, [...forks, ...this.#partings]).values()].flat());
  }

  #ends(reason: Reason, gone: ReadonlySet<Owner>, released: ReadonlySet<number>): boolean {
    if (reason.owners.some((owner) => gone.has(owner))) return true;
    return reason.while !== undefined && !this.#isSeen(reason.while, released);
  }

  /** A kept top that is not released comes from the layer. */
  #isSeen(layer: number, released: ReadonlySet<number>): boolean {
    const place = this.#tour.placeOf(layer);
    if (place < 0) return false;
    const end = this.#tour.endOf(place);
    let left = this.#tour.keptAt(end) - this.#tour.keptAt(place);
    for (const one of released) {
      const at = this.#tour.placeOf(one);
      if (at >= place && at < end) left--;
    }
    return left > 0;
  }

  readonly #branch = (name: string): Owner[] => {
    const owner = this.find('branch', name);
    return owner === undefined ? [] : [owner];
  };

  #owner(owner: Owner): Owner {
    this.owners.push(owner);
    this.#byName.set(`${owner.kind} ${owner.name}`, owner);
    return owner;
  }

  #keep(layer: number, reason: Reason): void {
    const known = this.#reasons.get(layer);
    if (known === undefined) this.#reasons.set(layer, [reason]);
    else known.push(reason);
    if (reason.while !== undefined) this.#dependent.push(layer);
    for (const owner of reason.owners) {
      const layers = this.#layersOf.get(owner);
      if (layers === undefined) this.#layersOf.set(owner, [layer]);
      else layers.push(layer);
    }
  }
}

function nameOf({ name }: Owner): string {
  return name;
}
