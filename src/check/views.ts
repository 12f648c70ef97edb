/**
 * Checks what views show: every snapshot and every open layer.
 *
 * A view is compared with the nearest checked view on its path: only records
 * written in the layers between them can differ. So the cost of the whole check
 * is proportional to the records ever written, not to views × files. Rule D2
 * makes this complete: a wrong delta map is a finding of its own.
 */
import { hasBase } from '../volume/catalog.js';
import {
  decodeDeltaKey,
  deltaPrefix,
  inodeOf,
  inodePlace,
  prefixEnd,
  reapKey,
} from '../format/records/keys.js';
import { ROOT_FILESET, ROOT_INODE, TABLE, type TableNumber } from '../format/records/tables.js';
import { CheckInodes } from './inodes.js';
import { NameCheck, type SeenName } from './names.js';
import { describe } from './records.js';
import { messageOf } from '../lib/errors.js';
import type { Work } from '../lib/work.js';
import { type CheckState, shownBytes } from './report.js';
import { REAP_ALL } from '../volume/files/file-data.js';
import type { Inode } from '../volume/inode.js';
import { gapsOfTable, type InodeGaps } from '../volume/names/inode-gaps.js';
import type { ReadableVolume } from '../volume/readable-volume.js';
import { visitInodes } from '../volume/names/inode-reader.js';
import { View } from '../volume/view.js';

/** About half a millisecond's work. */
const BATCH_PLACES = 64;
const ONLY_KEYS = { keysOnly: true };

/** One view during its check. */
interface CheckedView {
  view: View;
  names: NameCheck;
  where: (ino: number, name?: string) => string;
}

export class ViewCheck {
  readonly #inodes: CheckInodes;
  /** Tops whose views have been checked. */
  readonly #checked = new Set<number>();
  readonly #noOrphans: InodeGaps;

  constructor(
    readonly volume: ReadableVolume,
    readonly state: CheckState,
  ) {
    this.#inodes = new CheckInodes(volume, state);
    this.#noOrphans = gapsOfTable(volume.store, TABLE.orphans, ROOT_FILESET);
  }

  /** Assumes that the view of this layer is sound: the views above are compared with it. */
  assume(top: number): void {
    this.#checked.add(top);
  }

  /** `tops`: the layers whose views are to be checked. Waits for nothing. */
  *run(tops: Iterable<number>): Work<void> {
    for (const top of [...tops].sort((a, b) => a - b)) {
      try {
        yield* this.#view(top);
      } catch (error) {
        this.state.add('F1', messageOf(error), `view of layer ${top}`);
      }
      this.#checked.add(top);
      this.state.counted.views++;
    }
  }

  /** Not one of the volume's own views, whose caches would stay. */
  #newView(top: number): View {
    return new View(ROOT_FILESET, top, this.volume.layers.lineage(top), false);
  }

  *#view(top: number): Work<void> {
    const path = this.volume.layers.path(top);
    const known = path.findIndex((layer) => this.#checked.has(layer));
    const between = (known < 0 ? path : path.slice(0, known)).reverse();
    const older = known < 0 ? undefined : this.#newView(path[known] as number);
    const view = this.#newView(top);
    const title = this.#titleOf(top);
    const where = (ino: number, name?: string): string => this.#where(view, title, ino, name);
    const layers = new Set(between);
    const names = new NameCheck(this.volume, this.state, view, older, layers, where);
    const checked = { view, names, where };
    for (const layer of between) yield* this.#entries(checked, layer);
    for (const layer of between) {
      yield* this.#eachInode(view, layer, (place) => this.#inode(checked, layer, place));
      yield* this.#eachBatch(layer, TABLE.orphans, (places) =>
        this.#each(places, layer, TABLE.orphans, (place) => this.#orphan(checked, layer, place)),
      );
    }
    if (!names.everyLinkIsKnown) {
      for (const layer of between) {
        yield* this.#eachInode(view, layer, (place) => this.#links(checked, layer, place));
      }
    }
    this.#checkRoot(view, title);
    yield* names.finish();
    yield* this.#checkTop(view);
  }

  #titleOf(top: number): string {
    const names = this.volume.snapshots().filter(({ layer }) => layer === top);
    if (names.length === 0) return 'the live tree';
    return `snapshot ${names.map(({ name }) => name).join(', ')}`;
  }

  #where(view: View, title: string, ino: number, name?: string): string {
    let path: string | undefined;
    try {
      path = this.volume.paths.of(view, ino);
    } catch {
      // The path is only a help for readers.
    }
    const parts = [title, `${name === undefined ? 'inode' : 'directory'} ${ino}`];
    if (name !== undefined) parts.push(`name ${shownBytes(name)}`);
    if (path !== undefined) parts.push(`path /${shownBytes(path)}`);
    return parts.join(', ');
  }

  *#eachBatch(
    layer: number,
    table: TableNumber,
    visit: (places: readonly Buffer[]) => void,
  ): Work<void> {
    const prefix = deltaPrefix(layer, table);
    const reader = this.volume.store;
    let places: Buffer[] = [];
    for (const { key } of reader.range(TABLE.delta, prefix, prefixEnd(prefix), ONLY_KEYS)) {
      this.state.tick();
      places.push(decodeDeltaKey(key).place);
      if (places.length < BATCH_PLACES) continue;
      visit(places);
      places = [];
      yield undefined;
    }
    visit(places);
  }

  /** An unreadable record is a finding, and the check continues with the rest. */
  #each(
    places: readonly Buffer[],
    layer: number,
    table: TableNumber,
    visit: (place: Buffer) => void,
  ): void {
    for (const place of places) {
      try {
        visit(place);
      } catch (error) {
        this.state.add('format', messageOf(error), describe(table, place, layer));
      }
    }
  }

  /** Reading neighbouring inodes together costs a fraction of single reads. */
  #eachInode(view: View, layer: number, visit: (place: Buffer) => void): Work<void> {
    return this.#eachBatch(layer, TABLE.inodes, (places) => {
      this.#prefetch(view, places.map(inodeOf));
      this.#each(places, layer, TABLE.inodes, visit);
    });
  }

  #prefetch(view: View, inos: readonly number[]): void {
    this.volume.inodes.prefetch(
      view,
      inos.map((ino) => ({ ino })),
    );
  }

  #entries({ view, names }: CheckedView, layer: number): Work<void> {
    return this.#eachBatch(layer, TABLE.entries, (places) => {
      const seen: SeenName[] = [];
      this.#each(places, layer, TABLE.entries, (place) => {
        const name = names.seen(layer, place);
        if (name !== undefined) seen.push(name);
      });
      this.#prefetch(
        view,
        seen.map(({ entry }) => entry.ino),
      );
      for (const name of seen) {
        this.#each([name.place], layer, TABLE.entries, () => names.entry(name));
      }
    });
  }

  /** The inode in the view, if this layer's version is the visible one; null: it is gone. */
  #version(view: View, layer: number, place: Buffer): Inode | null | undefined {
    const inode = this.volume.inode(view, inodeOf(place));
    if (inode !== undefined) return inode.layer === layer ? inode : undefined;
    const found = this.volume.newest(TABLE.inodes, place, view);
    return found?.layer === layer ? null : undefined;
  }

  #inode(checked: CheckedView, layer: number, place: Buffer): void {
    const { view, names } = checked;
    const version = this.#version(view, layer, place);
    if (version === undefined) return;
    this.state.counted.inodes++;
    const ino = inodeOf(place);
    const inode = version ?? undefined;
    const isOrphan = this.#isOrphan(view, ino);
    if (inode !== undefined) {
      if (inode.base !== undefined) this.volume.inodes.rememberBase(ino, inode.base.path);
      this.#inodes.check(view, inode, () => checked.where(ino));
      if (inode.nlink === 0 && !isOrphan) {
        this.state.add('D5', 'it has no links and is no orphan', checked.where(ino));
      }
    }
    names.inode(ino, inode);
    if ((inode === undefined || inode.nlink > 0) && isOrphan) {
      const what = inode === undefined ? 'an orphan does not exist' : 'an orphan has links';
      this.state.add('D5', what, checked.where(ino));
    }
  }

  #links({ view, names }: CheckedView, layer: number, place: Buffer): void {
    const inode = this.#version(view, layer, place) ?? undefined;
    if (inode !== undefined) names.links(inode);
  }

  #isOrphan(view: View, ino: number): boolean {
    if (this.#noOrphans.has(ino)) return false;
    const found = this.volume.newest(TABLE.orphans, inodePlace(view.fileset, ino), view);
    return found !== undefined && found.value[0] === 1;
  }

  /** Checks orphans whose inode is not changed in the same layers. */
  #orphan({ view, where }: CheckedView, layer: number, place: Buffer): void {
    const found = this.volume.newest(TABLE.orphans, place, view);
    if (found === undefined || found.layer !== layer || found.value[0] !== 1) return;
    const ino = inodeOf(place);
    const inode = this.volume.inode(view, ino);
    if (inode?.nlink === 0) return;
    const what = inode === undefined ? 'an orphan does not exist' : 'an orphan has links';
    this.state.add('D5', what, where(ino));
  }

  /**
   * The root of an untouched base directory has no record, and is not visible
   * without that directory.
   */
  #checkRoot(view: View, title: string): void {
    const { base, store } = this.volume;
    const root = this.volume.inode(view, ROOT_INODE);
    if (root === undefined && base === undefined && hasBase(store)) return;
    if (!root?.isDirectory) this.state.add('V1', 'there is no root directory', title);
  }

  /**
   * Each record in a kept layer belongs to an inode that the layer also
   * changed; removed ones wait for the collector (rule D5). Anything else is
   * lost space.
   */
  *#checkTop(view: View): Work<void> {
    for (const table of [TABLE.entries, TABLE.blocks, TABLE.attributes] as const) {
      yield* this.#eachBatch(view.top, table, (places) => {
        const lost = this.#lost(view, places.map(inodeOf));
        for (const place of lost.size === 0 ? [] : places) {
          if (!lost.has(inodeOf(place))) continue;
          const where = describe(table, place, view.top);
          this.state.add('D5', 'the record belongs to no inode and is not to be collected', where);
        }
      });
    }
  }

  /**
   * Of inodes in ascending order, those that the top layer neither changed nor
   * queued for the collector.
   */
  #lost(view: View, inos: readonly number[]): Set<number> {
    const { fileset, top } = view;
    const reader = this.volume.store;
    const lost = new Set(inos);
    visitInodes(reader, view, inos, (ino, layer, { value }) => {
      if (layer === top && value[0] !== 0) lost.delete(ino);
    });
    for (const ino of lost) {
      const work = reader.get(TABLE.reap, reapKey(fileset, ino, top));
      if (work !== undefined && work[0] === REAP_ALL) lost.delete(ino);
    }
    return lost;
  }
}
