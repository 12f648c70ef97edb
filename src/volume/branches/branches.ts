/**
 * The branches of a volume: their records, their open layers, and who works in
 * which one. Each change is a handful of small records in the open txg, whatever
 * the volume's size.
 */
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { checkBranchName, nearHint, nearMatches } from '../../format/text/grammar.js';
import type { BranchRecord, Catalog } from '../catalog.js';
import type { VolumeCore } from '../core.js';
import type { Layer } from '../lineage.js';
import { UndoLine } from '../snapshots/undo-line.js';
import { View } from '../view.js';
import { Branch, MAIN_BRANCH } from './branch.js';

export class Branches {
  readonly #lines = new Map<string, UndoLine>();

  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
  ) {
    this.lineOf(core.main);
  }

  /** The names, `main` first. */
  names(): string[] {
    return [MAIN_BRANCH, ...[...this.catalog.branches.keys()].sort()];
  }

  has(name: string): boolean {
    return name === MAIN_BRANCH || this.catalog.branches.has(name);
  }

  /** Throws bad-branch-name, branch-exists. */
  checkNew(name: string): void {
    const reason = checkBranchName(name);
    if (reason !== undefined) {
      throw new CommandError(
        'bad-branch-name',
        'EINVAL',
        `bad branch name ${JSON.stringify(name.slice(0, 300))}: ${reason}`,
      );
    }
    if (!this.has(name)) return;
    throw new CommandError('branch-exists', 'EEXIST', `branch ${name} exists already`, { name });
  }

  /** Throws `no-such-branch` with near matches. */
  require(name: string): void {
    if (this.has(name)) return;
    const near = nearMatches(name, this.names());
    throw new CommandError(
      'no-such-branch',
      'ENOENT',
      `no branch ${JSON.stringify(name.slice(0, 300))}${nearHint(near)}`,
      { name, near },
    );
  }

  openLayer(name: string): Layer {
    const opened = this.#opened(name);
    if (opened !== undefined) return this.core.layers.get(opened.live.top);
    const layer = this.core.layers.all().find((l) => l.state === 'open' && l.branch === name);
    if (layer === undefined)
      throw new CommandError('no-such-branch', 'ENOENT', `no branch ${name}`);
    return layer;
  }

  #opened(name: string): Branch | undefined {
    for (const branch of this.core.branches) if (branch.name === name) return branch;
    return undefined;
  }

  /** A mount begins to show it. Throws no-such-branch. */
  open(name: string): Branch {
    this.require(name);
    const branch = this.#opened(name) ?? this.#load(name);
    branch.seats++;
    this.core.shareCaches();
    // It must know which undo snapshots are there before a command adds one.
    this.lineOf(branch);
    return branch;
  }

  #load(name: string): Branch {
    const { core } = this;
    const { number } = this.openLayer(name);
    const live = new View(core.fileset, number, core.layers.lineage(number), true);
    const branch = new Branch(core, name, live);
    core.branches.add(branch);
    return branch;
  }

  /** A mount shows it no more. */
  close(branch: Branch): void {
    branch.seats--;
    if (branch.seats === 0) branch.where = undefined;
    if (!branch.isMain && branch.seats === 0) {
      this.core.branches.delete(branch);
      this.#lines.delete(branch.name);
    }
    this.core.shareCaches();
  }

  lineOf(branch: Branch): UndoLine {
    let line = this.#lines.get(branch.name);
    if (line === undefined) {
      line = new UndoLine(this.catalog, branch.name);
      this.#lines.set(branch.name, line);
    }
    return line;
  }

  /** A mount shows it. */
  isMounted(name: string): boolean {
    const opened = this.#opened(name);
    return opened !== undefined && opened.seats > 0;
  }

  /** The mountpoint of the mount that shows it; undefined: none does, or it does not say. */
  whereMounted(name: string): string | undefined {
    return this.#opened(name)?.where?.();
  }

  /** Throws `branch-in-use`, which names the mountpoint. */
  refuseMounted(name: string): void {
    if (!this.isMounted(name)) return;
    const mountpoint = this.whereMounted(name);
    const where = mountpoint === undefined ? '' : ` on ${shownName(mountpoint)}`;
    throw new CommandError('branch-in-use', 'EBUSY', `branch ${name} is mounted${where}`, {
      name,
      ...(mountpoint !== undefined && { mountpoint }),
    });
  }

  /**
   * Seals a branch's open layer and begins a new one over `parent`, or over the sealed one: then
   * the live view sees what it saw, and keeps its cache. `isLeft`: who works with the view from
   * before goes on with it alone.
   */
  advance(name: string, parent?: number, isLeft = false): { sealed: Layer; layer: Layer } {
    const { core, catalog } = this;
    const nowMs = core.clock.nowMs();
    const sealed = this.openLayer(name);
    sealed.state = 'sealed';
    sealed.sealedMs = nowMs;
    catalog.putLayer(sealed);
    const layer = this.#addLayer(name, parent ?? sealed.number);
    if (name === MAIN_BRANCH) catalog.putFileset(layer.number);
    const opened = this.#opened(name);
    if (opened !== undefined) {
      const lineage = core.layers.lineage(layer.number);
      const cache = parent === undefined && !isLeft ? opened.live.cache : undefined;
      opened.setLive(new View(core.fileset, layer.number, lineage, true, cache));
    }
    return { sealed, layer };
  }

  #addLayer(branch: string, parent: number): Layer {
    const { core, catalog } = this;
    const layer: Layer = {
      number: catalog.takeLayer(),
      parent,
      fileset: core.fileset,
      branch,
      state: 'open',
      createdMs: core.clock.nowMs(),
    };
    core.layers.add(layer);
    catalog.putLayer(layer);
    return layer;
  }

  /** `fork`: the layer that both see. The name is free. */
  add(name: string, fork: number, from: BranchRecord['from'], source: string): Layer {
    const { catalog } = this;
    const layer = this.#addLayer(name, fork);
    catalog.putBranch(name, { createdMs: layer.createdMs, source, from, fork });
    return layer;
  }

  /** Snapshots that were made on it bear the new name, too. */
  rename(from: string, to: string): void {
    const { catalog } = this;
    const record = catalog.branches.get(from) as BranchRecord;
    const layer = this.openLayer(from);
    layer.branch = to;
    catalog.putLayer(layer);
    catalog.deleteBranch(from);
    catalog.putBranch(to, record);
    for (const snapshot of catalog.list()) {
      if (snapshot.branch === from) catalog.replaceSnapshot({ ...snapshot, branch: to });
    }
    for (const [name, other] of catalog.branches) {
      if (other.from.branch === from) {
        catalog.putBranch(name, { ...other, from: { ...other.from, branch: to } });
      }
    }
    const renamed = (one: string): string => (one === from ? to : one);
    catalog.putMerges(
      catalog.merges.map((merge) => ({
        ...merge,
        branch: renamed(merge.branch),
        into: renamed(merge.into),
      })),
    );
    if (catalog.shownBranch === from) catalog.putShownBranch(to);
    const opened = this.#opened(from);
    if (opened !== undefined) opened.name = to;
    this.#lines.delete(from);
  }

  /** Nobody works in it. Returns its layer, which is sealed now. */
  remove(name: string): Layer {
    const { core, catalog } = this;
    const layer = this.openLayer(name);
    layer.state = 'sealed';
    layer.sealedMs = core.clock.nowMs();
    catalog.putLayer(layer);
    catalog.deleteBranch(name);
    // Nothing is merged from it or into it any more.
    catalog.putMerges(
      catalog.merges.filter(({ branch, into }) => branch !== name && into !== name),
    );
    if (catalog.shownBranch === name) catalog.putShownBranch(MAIN_BRANCH);
    this.#lines.delete(name);
    return layer;
  }
}
