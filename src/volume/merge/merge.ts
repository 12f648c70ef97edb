/**
 * `merge`: what a branch has done comes into the branch of the mount, three-way
 * by file (format.md, rules M1–M7). Both trees are sealed, compared with what
 * they have in common, and the result is made in a layer that nobody sees; one
 * transaction then puts the live tree over it.
 *
 * What must hold: until then nothing has changed, whatever happens; programs'
 * changes of our tree wait from the seal until then.
 *
 * Doors: merge, items.
 * Doors inside volume/: partings, unfinished.
 */
import type { Deferred } from '../../lib/deferred.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { answerOf, type Settling, type Work } from '../../lib/work.js';
import { decodeDeltaKey, deltaPrefix, inodeOf, prefixEnd } from '../../format/records/keys.js';
import { TABLE } from '../../format/records/tables.js';
import type { BranchCommands } from '../branches/branch-commands.js';
import type { MergeRecord } from '../catalog.js';
import type { TreeMoved } from '../snapshots/tree-moves.js';
import type { Volume } from '../volume.js';
import { ancestors, commonState } from './common-state.js';
import {
  conflictOf,
  itemsOf,
  type MergeConflict,
  type MergeItem,
  type MergeSummary,
  summaryOf,
} from './items.js';
import { MergeLayer } from './merge-layer.js';
import { type Conflict, MergePlan } from './plan.js';
import { Stage, type StageHost } from './stage.js';
import { ThreeViews } from './three-views.js';

export interface MergeRequest {
  branch: string;
  /** Whose version of a file that both sides changed counts. */
  resolve?: 'ours' | 'theirs';
  source: string;
}

/** Three versions of one file's bytes, to be merged line by line. */
export interface TextVersions {
  path: string;
  base: Buffer;
  ours: Buffer;
  theirs: Buffer;
}

export interface MergeHost extends StageHost {
  /** Switches to the merged tree: quietly, in one transaction. */
  adopt(change: () => TreeMoved<MergeAnswer>): Deferred<MergeAnswer>;
  /** Merges lines; the answer is a file with them, or undefined. Absent: lines are not merged. */
  mergeText?(versions: TextVersions): Deferred<{ file: string | undefined }>;
}

export interface MergeAnswer {
  command: 'merge';
  branch: string;
  outcome: 'merged' | 'moved' | 'unchanged';
  /** Files that the merge changes here. */
  items: MergeItem[];
  summary: MergeSummary;
  /** What was settled as asked. */
  conflicts: MergeConflict[];
  layer: number;
  newLayer: number;
  undo?: string;
  pruned: string[];
}

export interface PlannedMerge {
  command: 'merge';
  branch: string;
  items: MergeItem[];
  summary: MergeSummary;
  conflicts: MergeConflict[];
}

const NOTHING: Pick<MergeAnswer, 'items' | 'summary' | 'conflicts'> = {
  items: [],
  summary: { added: 0, changed: 0, removed: 0, renamed: 0 },
  conflicts: [],
};

/** Larger files are not merged line by line. */
const TEXT_MAX_BYTES = 4 * 1024 * 1024;

export class MergeConflicts extends CommandError {
  constructor(
    readonly branch: string,
    readonly conflicts: readonly MergeConflict[],
    /** The sealed state of the branch. */
    readonly theirs: number,
  ) {
    super('merge-conflicts', 'EBUSY', `${conflicts.length} conflicts`);
  }
}

/** The trees of two branches, and what they have in common. */
interface Trees {
  ours: number;
  theirs: number;
  base: number;
}

export class Merging {
  constructor(readonly branches: BranchCommands) {}

  get #volume(): Volume {
    return this.branches.volume;
  }

  /** What the merge would do, from the committed state. Nothing is changed. */
  *plan({ branch }: Pick<MergeRequest, 'branch'>): Work<PlannedMerge> {
    this.#check(branch);
    const volume = this.#volume;
    const trees = this.#common(branch, {
      ours: volume.live.top,
      theirs: this.branches.commands.branches.openLayer(branch).number,
    });
    if (trees === undefined) return { command: 'merge', branch, ...NOTHING };
    const plan = yield* this.#planned(trees);
    const conflicts = plan.conflicts.map((conflict) => conflictOf(plan, conflict));
    const items = yield* itemsIn(plan);
    return { command: 'merge', branch, items, summary: summaryOf(items), conflicts };
  }

  /** Programs' writes have reached the volume, and wait from now on. Throws MergeConflicts. */
  *run(request: MergeRequest, host: MergeHost): Work<MergeAnswer> {
    this.#check(request.branch);
    this.branches.moves.checkMovable();
    const volume = this.#volume;
    const { branch } = request;
    const [ours, theirs] = volume.core.withReserve(() => [
      this.branches.seal(volume.seat.branch.name),
      this.branches.seal(branch),
    ]);
    volume.pin(ours as number);
    volume.pin(theirs as number);
    try {
      yield* answerOf(volume.whenCommitted(volume.commit()));
      failpoint('merge:sealed');
      const trees = this.#common(branch, { ours: ours as number, theirs: theirs as number });
      if (trees === undefined) return unchanged(branch, volume);
      return yield* patient(volume, this.#merge(request, trees, host));
    } finally {
      volume.unpin(ours as number);
      volume.unpin(theirs as number);
    }
  }

  *#merge(request: MergeRequest, trees: Trees, host: MergeHost): Work<MergeAnswer> {
    if (this.#isAhead(trees)) return yield* this.#move(request, trees, host);
    const { branch, resolve } = request;
    const plan = yield* this.#planned(trees);
    if (plan.conflicts.length > 0) yield* this.#mergeTexts(plan, host);
    const open = plan.conflicts.filter(({ reasons }) => reasons.length > 0);
    const conflicts = open.map((conflict) => conflictOf(plan, conflict));
    if (conflicts.length > 0 && resolve === undefined) {
      throw new MergeConflicts(branch, conflicts, trees.theirs);
    }
    if (conflicts.length > 0 && resolve === 'ours') yield* plan.dropConflicts();
    const items = yield* itemsIn(plan);
    const told = { items, summary: summaryOf(items), conflicts };
    let made = plan;
    let [under, from] = [trees.ours, trees.theirs];
    if (conflicts.length > 0 && resolve === 'theirs') {
      // Their tree, with what we did that is not in conflict.
      [under, from] = [from, under];
      made = yield* this.#planned({ ...trees, ours: under, theirs: from });
      yield* made.dropConflicts();
    }
    const layer = yield* this.#staged(made, under, host);
    return yield* answerOf(
      host.adopt(() => {
        this.#takeReleased(layer);
        layer.seal();
        return this.#adopt(request, trees, { layer: layer.layer.number, from }, told);
      }),
    );
  }

  /** Nothing can be in conflict; what has changed is looked up when programs go on. */
  *#move(request: MergeRequest, trees: Trees, host: MergeHost): Work<MergeAnswer> {
    const from = { layer: trees.theirs, from: trees.theirs };
    const answer = yield* answerOf(host.adopt(() => this.#adopt(request, trees, from)));
    try {
      const items = yield* itemsIn(yield* this.#planned(trees));
      return { ...answer, items, summary: summaryOf(items) };
    } catch (error) {
      throw new CommandError(
        'merge-not-listed',
        'EIO',
        `branch ${request.branch} is merged (undo takes it back), but what it has changed can't be listed: ${messageOf(error)}`,
        { branch: request.branch },
      );
    }
  }

  *#staged(plan: MergePlan, under: number, host: MergeHost): Work<MergeLayer> {
    const volume = this.#volume;
    const layer = volume.core.withReserve(() => new MergeLayer(volume, under));
    try {
      yield* new Stage(layer, plan, host).run();
      yield* answerOf(volume.whenCommitted(volume.commit()));
      failpoint('merge:staged');
      return layer;
    } catch (error) {
      volume.core.withReserve(() => layer.drop());
      volume.commit();
      throw error;
    }
  }

  /** Files without a name that programs have closed meanwhile: they go in the merged tree, too. */
  #takeReleased(layer: MergeLayer): void {
    const { core, live } = this.#volume;
    const gone = new Set<number>();
    for (const txg of [core.open, core.closing]) {
      for (const ino of txg?.layers.get(live.top)?.inodes.keys() ?? []) gone.add(ino);
    }
    const prefix = deltaPrefix(live.top, TABLE.inodes);
    const stored = core.reader.range(TABLE.delta, prefix, prefixEnd(prefix), { keysOnly: true });
    for (const { key } of stored) gone.add(inodeOf(decodeDeltaKey(key).place));
    for (const ino of gone) {
      if (this.#volume.inode(live, ino) === undefined) layer.names.release(ino);
    }
  }

  #adopt(
    { branch, source }: MergeRequest,
    trees: Trees,
    { layer, from }: Pick<MergeRecord, 'layer' | 'from'>,
    told?: Pick<MergeAnswer, 'items' | 'summary' | 'conflicts'>,
  ): TreeMoved<MergeAnswer> {
    const volume = this.#volume;
    const { catalog } = volume;
    const into = volume.seat.branch.name;
    const { undo, pruned, ...moved } = this.branches.moves.merged({
      branch,
      left: trees.ours,
      layer,
      reapsOrphans: !volume.layers.path(layer).includes(trees.ours) || layer === trees.theirs,
      source,
      counts: told && { ...told.summary, conflictCount: told.conflicts.length },
    });
    catalog.addMerge({ layer, from, branch, into, timeMs: volume.core.clock.nowMs() });
    failpoint('merge:adopted');
    const answer: MergeAnswer = {
      command: 'merge',
      branch,
      outcome: layer === trees.theirs ? 'moved' : 'merged',
      ...(told ?? NOTHING),
      layer,
      newLayer: moved.to.top,
      ...(undo !== undefined && { undo }),
      pruned,
    };
    return { answer, ...moved };
  }

  /** We have done nothing since: our tree becomes theirs, and no file is copied. */
  #isAhead({ ours, theirs }: Trees): boolean {
    const { core, layers, names } = this.#volume;
    // A switch away from a branch seals its layer, which may have nothing in it.
    const changed = layers.path(ours).find((layer) => !core.isEmptyLayer(layer));
    if (changed !== undefined && !layers.path(theirs).includes(changed)) return false;
    // Files without a name that programs have open are of our tree alone.
    return names.orphans().length === 0;
  }

  #planned({ base, ours, theirs }: Trees): Work<MergePlan> {
    const volume = this.#volume;
    const views = {
      base: volume.viewAt(base),
      ours: volume.viewAt(ours),
      theirs: volume.viewAt(theirs),
    };
    return made(new MergePlan(new ThreeViews(volume, views)));
  }

  /** Throws no-such-branch, merge-itself. */
  #check(branch: string): void {
    const { commands } = this.branches;
    commands.branches.require(branch);
    if (branch !== this.#volume.seat.branch.name) return;
    throw new CommandError('merge-itself', 'EINVAL', `this mount shows ${branch} itself`, {
      name: branch,
    });
  }

  /** Undefined: everything of theirs is here. Throws no-common-state. */
  #common(branch: string, { ours, theirs }: Omit<Trees, 'base'>): Trees | undefined {
    const { catalog, layers } = this.#volume;
    if (ancestors(catalog, layers, ours).has(theirs)) return undefined;
    const base = commonState(catalog, layers, ours, theirs);
    if (base === undefined) {
      throw new CommandError(
        'no-common-state',
        'EINVAL',
        `${this.#volume.seat.branch.name} and ${branch} have no state in common any more, so that there is ` +
          'nothing to compare both with: the snapshot at which they parted was deleted, or a restore ' +
          'has left it. Mount the branch beside this one (mount --branch) and copy what you want',
        { name: branch },
      );
    }
    return base === theirs ? undefined : { ours, theirs, base };
  }

  *#mergeTexts(plan: MergePlan, host: MergeHost): Work<void> {
    if (host.mergeText === undefined) return;
    for (const conflict of plan.conflicts) {
      const versions = this.#versions(plan, conflict);
      if (versions === undefined) continue;
      const { file } = yield* answerOf(host.mergeText(versions));
      if (file !== undefined) plan.settleText(conflict, file);
    }
  }

  #versions({ trees }: MergePlan, { entity, reasons }: Conflict): TextVersions | undefined {
    const { before, ours, theirs } = entity;
    if (!reasons.includes('content')) return undefined;
    if (before === undefined || ours === undefined || theirs === undefined) return undefined;
    if ([before, ours, theirs].some(({ size }) => size > TEXT_MAX_BYTES)) return undefined;
    const read = (side: 'base' | 'ours' | 'theirs', inode: typeof before): Buffer => {
      const bytes = Buffer.alloc(inode.size);
      trees.volume.data.read(trees.views[side], inode, 0, inode.size, bytes, 0);
      return bytes;
    };
    const path = trees.path('ours', ours.ino) ?? '';
    return {
      path,
      base: read('base', before),
      ours: read('ours', ours),
      theirs: read('theirs', theirs),
    };
  }
}

function* made(plan: MergePlan): Work<MergePlan> {
  yield* plan.make();
  return plan;
}

function* itemsIn(plan: MergePlan): Work<MergeItem[]> {
  const items: MergeItem[] = [];
  let count = 0;
  for (const item of itemsOf(plan)) {
    if (item !== undefined) items.push(item);
    if (++count % 64 === 0) yield undefined;
  }
  return items.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

function unchanged(branch: string, volume: Volume): MergeAnswer {
  const { top } = volume.live;
  return {
    command: 'merge',
    branch,
    outcome: 'unchanged',
    ...NOTHING,
    layer: top,
    newLayer: top,
    pruned: [],
  };
}

/** A merge reads what it needs, however long a disk takes. */
function* patient<T>(volume: Volume, work: Work<T>): Work<T> {
  let thrown: { error: unknown } | undefined;
  for (;;) {
    let step: IteratorResult<Settling | undefined, T> | undefined;
    const failed = thrown;
    thrown = undefined;
    volume.waits.patiently(() => {
      step = failed === undefined ? work.next() : work.throw(failed.error);
    });
    const { done, value } = step as unknown as IteratorResult<Settling | undefined, T>;
    if (done === true) return value as T;
    try {
      yield value as Settling | undefined;
    } catch (error) {
      thrown = { error };
    }
  }
}
