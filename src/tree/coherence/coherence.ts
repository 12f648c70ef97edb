/**
 * The coherent phase of a restore: it settles everything that changed between
 * two views, and tells the kernel what to look up or ask for again.
 *
 * - A changed regular file's old node loses its attributes, so that the next
 *   write asks for them and gets ESTALE; its names expire, because they now
 *   lead to another node.
 * - A removed directory that the restore brought back also gets a new node: the
 *   kernel never allows anything in the old one.
 * - Other changed directories lose attributes and the kernel's copy of their
 *   listing; symbolic links theirs and the cached target. Both keep their ids:
 *   an inode's link target never changes (re-targeting makes a new inode).
 * - Changed names that the kernel may know expire, negative ones too. Names of
 *   removed or replaced files are dropped, so that their nodes go. Above a
 *   number of names all expire at once (INC_EPOCH), if the kernel supports it.
 *
 * Another thread sends the notifications in batches; meanwhile the next batch
 * is gathered.
 *
 * Doors: base-news, coherence, notification, transitions.
 * Doors inside tree/: base-changes.
 */
import type { Deferred } from '../../lib/deferred.js';
import type { Inode } from '../../volume/inode.js';
import type { View } from '../../volume/view.js';
import type { Notification, Notifier } from './notification.js';
import type { Transition, Transitions } from './transitions.js';
import { ifReadable } from '../if-readable.js';
import type { TreeContext } from '../tree-context.js';

/**
 * Up to this number names are expired one by one: an INVAL_ENTRY costs about 10
 * µs, an epoch the whole cache.
 */
export const EPOCH_THRESHOLD = 20_000;

const BATCH = 512;
/** Changes processed between two yields. */
const SLICE = 256;

export interface CoherenceReport {
  /** Inodes and names that differ between the two views. */
  changes: number;
  /** Old nodes of changed regular files known to the kernel. */
  staleNodes: number;
  notifications: number;
  /** All names expired at once: mounts inside this mount are detached. */
  incEpoch: boolean;
}

/**
 * The loop resumes it at once after `undefined`, or when a `Deferred` has
 * settled. Ends when every notification was sent.
 */
export type CoherenceJob = Generator<Deferred<void> | undefined, CoherenceReport>;

/**
 * `kept`: a directory, or a file that still exists: mounts on it and the cache
 * below it stay. A number: the stale node of a file that is removed or has a
 * new node. Whoever watches it is told that it is gone, as after a replacement
 * by rename, and would keep it in the kernel for ever otherwise.
 */
type Fate = 'kept' | 'dropped' | number;

class Gathered {
  batch: Notification[] = [];
  entries = 0;
  #seen = new Set<string>();
  readonly report: CoherenceReport = {
    changes: 0,
    staleNodes: 0,
    notifications: 0,
    incEpoch: false,
  };

  constructor(
    readonly context: TreeContext,
    readonly notifier: Notifier,
    readonly epochThreshold: number,
  ) {}

  /** `fate`: of the file that the kernel has under the name. */
  entry(directory: number, name: string, fate: () => Fate): void {
    if (this.report.incEpoch || !this.context.nodes.knowsLive(directory)) return;
    const key = `${directory}/${name}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.entries++;
    if (this.entries > this.epochThreshold && this.notifier.canIncEpoch) {
      this.report.incEpoch = true;
      this.batch.push({ kind: 'inc-epoch' });
      return;
    }
    const parent = this.context.nodes.liveId(directory);
    const found = fate();
    if (typeof found === 'number') {
      this.batch.push({ kind: 'delete', parent, child: found, name });
      return;
    }
    const expireOnly = this.notifier.canExpireOnly && found === 'kept';
    this.batch.push({ kind: 'inval-entry', parent, name, expireOnly });
  }

  inode(node: number, withPages: boolean): void {
    this.batch.push({ kind: 'inval-inode', node, offset: withPages ? 0 : -1, length: 0 });
  }

  take(): Notification[] {
    const { batch } = this;
    this.report.notifications += batch.length;
    this.batch = [];
    this.#seen.clear();
    return batch;
  }
}

export function* coherence(
  context: TreeContext,
  transitions: Transitions,
  transition: Transition,
  epochThreshold = EPOCH_THRESHOLD,
): CoherenceJob {
  const notifier = context.notifier();
  const gathered = new Gathered(context, notifier, epochThreshold);
  let sending: Deferred<void> | undefined;

  for (const change of context.volume.changes(transition.from, transition.to)) {
    gathered.report.changes++;
    if (change.kind === 'inode')
      gatherInode(context, transitions, transition, change.ino, gathered);
    else {
      const { directory, name } = change;
      gathered.entry(directory, name, () =>
        fateOf(context, transitions, transition, directory, name),
      );
    }
    if (gathered.batch.length >= BATCH) {
      if (sending !== undefined) yield sending;
      sending = notifier.notify(gathered.take());
    }
    if (gathered.report.changes % SLICE === 0) yield undefined;
  }
  // Files without a name may have left no trace in the delta maps.
  for (const ino of context.nodes.unlinked()) {
    gatherInode(context, transitions, transition, ino, gathered);
  }
  gathered.report.staleNodes = transition.staled.size;
  transitions.end(transition);

  if (sending !== undefined) yield sending;
  if (gathered.batch.length > 0) yield notifier.notify(gathered.take());
  return gathered.report;
}

function gatherInode(
  context: TreeContext,
  transitions: Transitions,
  transition: Transition,
  ino: number,
  gathered: Gathered,
): void {
  const { nodes, volume } = context;
  transitions.settle(ino);
  const staleId = transition.staled.get(ino);
  // The kernel knows few of the files that a standby receives: the others are not read.
  if (staleId === undefined && !nodes.knowsLive(ino)) return;
  const before = ifReadable(() => volume.inode(transition.from, ino));
  const after = ifReadable(() => volume.inode(transition.to, ino));
  if (staleId !== undefined) {
    gathered.inode(staleId, false);
    for (const inode of [before, after]) namesOf(inode, staleId, gathered);
    return;
  }
  const inode = after ?? before;
  if (inode?.isRegular === true) return;
  // Of one that can't be read nothing that the kernel has may count.
  const withPages = inode === undefined || inode.isDirectory || inode.isSymlink;
  gathered.inode(nodes.liveId(ino), withPages);
}

/**
 * An inode lists at most 64 names. Names beyond those lead to the stale node,
 * which answers ESTALE; the kernel then looks the name up again itself.
 */
function namesOf(inode: Inode | undefined, staleId: number, gathered: Gathered): void {
  for (const { parent, name } of inode?.links ?? []) gathered.entry(parent, name, () => staleId);
}

/**
 * What becomes of the file that was under the name. Unless it is kept, the name
 * must be dropped: a name that only expires keeps its old node, and with it the
 * space of the old version, until a program asks for it or memory runs short.
 */
function fateOf(
  { volume }: TreeContext,
  transitions: Transitions,
  { from, to, staled }: Transition,
  directory: number,
  name: string,
): Fate {
  const target = (view: View): Inode | undefined =>
    ifReadable(() => {
      const parent = volume.inode(view, directory);
      return parent?.isDirectory === true ? volume.lookup(view, parent, name) : undefined;
    });
  const before = target(from);
  if (before === undefined) return 'dropped';
  transitions.settle(before.ino);
  const staleId = staled.get(before.ino);
  if (staleId !== undefined && before.isRegular) return staleId;
  return before.isDirectory || before.ino === target(to)?.ino ? 'kept' : 'dropped';
}
