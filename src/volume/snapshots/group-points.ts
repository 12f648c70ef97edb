/**
 * What a volume stores of group saves: its tentative snapshots and, if it
 * directed the save, the records of the decided ones. Each change is in the
 * open txg, so it is one transaction (rule D7) and durable with that txg.
 *
 * What must hold: until its outcome is known, a tentative snapshot keeps its
 * name and content, and is neither listed nor sent nor pruned.
 */
import { randomUUID } from 'node:crypto';
import { type Catalog, readMeta, type Snapshot } from '../catalog.js';
import type { SnapshotCommands } from './snapshot-commands.js';
import type { VolumeCore } from '../core.js';

/** Group saves that are to become snapshots everywhere: key → members that must be told. */
type Commits = Record<string, readonly string[]>;

const COMMITS_META = 'groupCommits';

export class GroupPoints {
  readonly #core: VolumeCore;
  readonly #catalog: Catalog;
  readonly #commands: SnapshotCommands;
  #commits: Commits;

  constructor(core: VolumeCore, catalog: Catalog, commands: SnapshotCommands) {
    this.#core = core;
    this.#catalog = catalog;
    this.#commands = commands;
    this.#commits = readMeta<Commits>(core.reader, COMMITS_META) ?? {};
  }

  /** The points, as they were given to `save`. */
  tentative(): object[] {
    return [...this.#catalog.tentative.values()].map(({ point }) => point);
  }

  /** Throws CommandError, like a save under that name. */
  check(name: string): void {
    this.#commands.writable();
    this.#commands.checkNew(name);
  }

  /** Takes a tentative snapshot of the live tree. */
  save(
    key: string,
    { name, note }: Pick<Snapshot, 'name' | 'note'>,
    point: object,
    source: string,
  ): void {
    this.check(name);
    const { fileset, clock } = this.#core;
    const { sealed } = this.#commands.switchTo();
    this.#catalog.putTentative({
      kind: 'tentative',
      name,
      uuid: randomUUID(),
      layer: sealed.number,
      fileset,
      createdMs: clock.nowMs(),
      source,
      ...(note !== undefined && { note }),
      key,
      point,
    });
  }

  /** Makes it a snapshot. Does nothing when repeated or unknown. */
  keep(key: string, details: object): void {
    const found = this.#catalog.takeTentative(key);
    if (found === undefined) return;
    const { key: _key, point: _point, ...snapshot } = found;
    this.#catalog.addSnapshot({ ...snapshot, kind: 'user' });
    const { name, layer, source, note } = found;
    const noted = note === undefined ? {} : { note };
    this.#record(key, name, layer, source, 'saved', { ...noted, ...details });
  }

  drop(key: string): void {
    const found = this.#catalog.takeTentative(key);
    if (found === undefined) return;
    this.#record(key, found.name, found.layer, found.source, 'dropped', {});
  }

  #record(
    key: string,
    name: string,
    layer: number,
    source: string,
    outcome: string,
    details: object,
  ): void {
    this.#catalog.addHistory({
      timeMs: this.#core.clock.nowMs(),
      command: 'group-save',
      name,
      layer,
      newLayer: this.#commands.seat.live.top,
      source,
      outcome,
      details: { group: key, ...details },
    });
  }

  commits(): { key: string; directors: readonly string[] }[] {
    return Object.entries(this.#commits).map(([key, directors]) => ({ key, directors }));
  }

  addCommit(key: string, directors: readonly string[]): void {
    this.#commits = { ...this.#commits, [key]: directors };
    this.#catalog.putMeta(COMMITS_META, this.#commits);
  }

  removeCommit(key: string): void {
    const { [key]: _removed, ...rest } = this.#commits;
    this.#commits = rest;
    this.#catalog.putMeta(COMMITS_META, this.#commits);
  }
}
