/**
 * Asks the kernel to forget nodes when it knows too many (the policy is in
 * forgetting-plan.ts). A job in small pieces, in the loop's spare time; another
 * thread sends the notifications, because the kernel takes locks that a request
 * may hold.
 *
 * With PRUNE the kernel drops unused nodes and keeps the others: open files,
 * working directories, directories with known names below. Older kernels are
 * told to drop a name instead (INVAL_ENTRY), and they also drop names in use:
 * files continue to work, but a directory would be cut off. So there
 * directories are never dropped.
 */
import type { Deferred } from '../../lib/deferred.js';
import { FsError, CorruptionError } from '../../lib/errors.js';
import {
  chooseOld,
  droppableName,
  excess,
  NODE_LIMITS,
  type NodeLimits,
  nextLimit,
  type NodeName,
  shareOf,
} from './forgetting-plan.js';
import type { Notification } from '../coherence/notification.js';
import { ShadowNode } from '../snapshots/shadow-nodes.js';
import type { SpecialNode } from './special-node.js';
import type { TreeContext } from '../tree-context.js';
import type { TreeJob } from '../tree-options.js';

/** Turns of the loop in which the kernel's answers (FORGETs) arrive. */
const SETTLE_TURNS = 32;
/** Nodes in one message, and slots searched at a time. */
const BATCH = 1024;
const SLICE = 4096;

export interface ForgettingFigures {
  asked: number;
  limits: NodeLimits;
  tableBytes: number;
}

export class Forgetting {
  /** Nodes that the kernel was asked to forget, since the mount. */
  asked = 0;
  #limits: NodeLimits;
  #next: NodeLimits;
  #isRunning = false;
  /** Where the search in the table continues. */
  #place = 0;

  constructor(
    readonly context: TreeContext,
    readonly run: ((job: TreeJob) => void) | undefined,
    /** Of all mounts of the volume together. */
    readonly allLimits: NodeLimits = NODE_LIMITS,
  ) {
    this.#limits = allLimits;
    this.#next = allLimits;
    context.nodes.onTold = () => this.#look();
  }

  get limits(): NodeLimits {
    return this.#limits;
  }

  /** So many mounts share the limits now. */
  shareWith(mounts: number): void {
    this.#limits = shareOf(this.allLimits, mounts);
    this.#next = this.#limits;
    this.#look();
  }

  figures(): ForgettingFigures {
    const { asked, limits } = this;
    return { asked, limits, tableBytes: this.context.nodes.bytes };
  }

  /** Runs after the kernel learned of a node. Costs a few comparisons. */
  #look(): void {
    if (this.#isWithin(this.limits)) {
      this.#next = this.limits;
      return;
    }
    if (this.#isRunning || this.#isWithin(this.#next)) return;
    if (this.run === undefined || this.context.notifier().isSilent) return;
    this.#isRunning = true;
    this.run(this.#job());
  }

  #isWithin(limits: NodeLimits): boolean {
    const { nodes, volume } = this.context;
    return (
      nodes.liveCount <= limits.live &&
      nodes.specialCount <= limits.special &&
      (volume.knownPaths ?? 0) <= limits.paths
    );
  }

  /** Repeats rounds while the kernel forgets at least half of the nodes asked for. */
  *#job(): TreeJob {
    const { nodes, volume } = this.context;
    for (;;) {
      const askedBefore = this.asked;
      const forgottenBefore = nodes.forgotten;
      yield* this.#forgetSpecials(excess(nodes.specialCount, this.limits.special));
      const tooMany = excess(nodes.liveCount, this.limits.live);
      const tooManyPaths = excess(volume.knownPaths ?? 0, this.limits.paths);
      yield* this.#forgetLive(Math.max(tooMany, tooManyPaths));
      if (this.asked === askedBefore) break;
      for (let turn = 0; turn < SETTLE_TURNS; turn++) yield undefined;
      if (nodes.forgotten - forgottenBefore < (this.asked - askedBefore) / 2) break;
    }
    this.#next = {
      live: nextLimit(nodes.liveCount, this.limits.live),
      paths: nextLimit(volume.knownPaths ?? 0, this.limits.paths),
      special: nextLimit(nodes.specialCount, this.limits.special),
    };
    this.#isRunning = false;
  }

  *#forgetLive(wanted: number): TreeJob {
    const { nodes } = this.context;
    if (wanted === 0) return;
    const choice = chooseOld(nodes.ages(), wanted);
    let left = choice.count;
    for (let seen = 0; seen < nodes.slots && left > 0; ) {
      const found: number[] = [];
      for (let i = 0; i < 4 && seen < nodes.slots && found.length < BATCH; i++) {
        const max = Math.min(BATCH, left);
        this.#place = nodes.oldNodes(this.#place, SLICE, choice.minAge, max, found);
        seen += SLICE;
        yield undefined;
      }
      left -= found.length;
      yield this.#ask(found, (ino) => this.#nameOf(ino));
    }
  }

  *#forgetSpecials(wanted: number): TreeJob {
    for (let left = wanted; left > 0; left -= BATCH) {
      const old = this.context.nodes.oldSpecials(Math.min(left, BATCH));
      const byId = new Map<number, SpecialNode>(old.map((node) => [node.id, node]));
      yield this.#ask([...byId.keys()], (id) => {
        const node = byId.get(id);
        return node instanceof ShadowNode ? node.place() : undefined;
      });
    }
  }

  #ask(
    ids: readonly number[],
    place: (id: number) => NodeName | undefined,
  ): Deferred<void> | undefined {
    const notifier = this.context.notifier();
    if (ids.length === 0 || notifier.isSilent) return undefined;
    this.asked += ids.length;
    if (notifier.canPrune) return notifier.notify([{ kind: 'prune', nodes: ids }]);
    const batch: Notification[] = [];
    for (const id of ids) {
      const found = orNothing(() => place(id));
      if (found !== undefined) batch.push({ kind: 'inval-entry', ...found, expireOnly: false });
    }
    return notifier.notify(batch);
  }

  /** A name of the live inode, unless it is a directory. */
  #nameOf(ino: number): NodeName | undefined {
    const { nodes, volume } = this.context;
    const place = droppableName(volume.inode(volume.live, ino));
    if (place === undefined || !nodes.knowsLive(place.parent)) return undefined;
    return { parent: nodes.liveId(place.parent), name: place.name };
  }
}

/** A damaged or missing inode has no name to drop; a request for it gets the error. */
function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof FsError || error instanceof CorruptionError) return undefined;
    throw error;
  }
}
