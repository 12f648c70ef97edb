/**
 * The policy for asking the kernel to forget nodes: which, and when. Pure.
 *
 * The kernel keeps looked-up nodes until its memory runs short, and each of
 * them also costs memory here. Above a limit the kernel is asked to forget the
 * least recently used ones, down to an eighth below the limit. Answers from the
 * kernel's own caches are invisible here: "used" means looked up, read or
 * written.
 */

/** How many nodes of a kind the kernel may know before it is asked to forget some. */
export interface NodeLimits {
  /** Live inodes: 18 to 35 bytes each. */
  live: number;
  /**
   * Live inodes of a base directory that have no record yet: their paths are
   * kept, some 150 bytes each.
   */
  paths: number;
  /** Nodes of snapshots and other special nodes: some 400 bytes each. */
  special: number;
}

export const NODE_LIMITS: NodeLimits = { live: 1_500_000, paths: 250_000, special: 60_000 };

/**
 * What one of `mounts` mounts of a volume may have: together they have what one alone would. Paths
 * are counted over all mounts.
 */
export function shareOf({ live, paths, special }: NodeLimits, mounts: number): NodeLimits {
  const share = (limit: number): number => Math.max(1, Math.floor(limit / mounts));
  return { live: share(live), paths, special: share(special) };
}

/** Sets every limit to `max`: for tests. */
export function smallLimits(max: number): NodeLimits {
  return { live: max, paths: max, special: max };
}

/** After this many new live inodes, the earlier ones are one epoch older. */
export function epochInodes(limits: NodeLimits): number {
  return Math.max(1, Math.floor(Math.min(limits.live, limits.paths) / 16));
}

/** How many nodes to ask for when `known` are known; 0 up to the limit. */
export function excess(known: number, limit: number): number {
  return known > limit ? known - Math.floor((limit * 7) / 8) : 0;
}

/**
 * The number of known nodes at which to ask again: nodes in use can't be
 * forgotten, and repeated asking costs more than they do.
 */
export function nextLimit(known: number, limit: number): number {
  return known <= limit ? limit : known + Math.ceil(limit / 16);
}

export interface Choice {
  /** Nodes last used this many epochs ago, or earlier. */
  minAge: number;
  count: number;
}

/**
 * The oldest nodes that make up `wanted`. `ages[n]`: how many were last used n
 * epochs ago. Nodes used in the present epoch are never chosen.
 */
export function chooseOld(ages: readonly number[], wanted: number): Choice {
  let sum = 0;
  for (let age = ages.length - 1; age >= 1; age--) {
    sum += ages[age] ?? 0;
    if (sum >= wanted) return { minAge: age, count: wanted };
  }
  return { minAge: 1, count: sum };
}

/** A name below a directory's node id, or inode. */
export interface NodeName {
  parent: number;
  name: string;
}

interface Named {
  isDirectory: boolean;
  nlink: number;
  links: readonly NodeName[];
}

/**
 * A name whose removal from the cache frees the node. Undefined for
 * directories, which would be cut off from nodes in use below them, and for
 * files with further names.
 */
export function droppableName(inode: Named | undefined): NodeName | undefined {
  if (inode === undefined || inode.isDirectory || inode.nlink !== 1) return undefined;
  return inode.links[0];
}
