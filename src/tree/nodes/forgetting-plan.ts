/**
 * Which nodes the kernel is asked to forget, and when: the policy. Pure.
 *
 * The kernel keeps what it has looked up until its memory runs short, and for
 * each such node memory is needed here, too. Above a limit it is asked to forget
 * those used longest ago, down to an eighth below the limit. Of what the kernel's
 * own caches answer nothing is heard here: "used" means looked up, read or written.
 */

/** How many nodes of a kind the kernel may know before it is asked to forget some. */
export interface NodeLimits {
  /** Live inodes: 18 to 35 bytes each. */
  live: number;
  /** Live inodes of a base that have no record yet: their paths are kept, some 150 bytes each. */
  paths: number;
  /** Nodes of snapshots and the like: some 400 bytes each. */
  special: number;
}

export const NODE_LIMITS: NodeLimits = { live: 1_500_000, paths: 250_000, special: 60_000 };

/** Every limit that counts nodes is `max`: for tests. */
export function smallLimits(max: number): NodeLimits {
  return { live: max, paths: max, special: max };
}

/** Live inodes that come in while those known before grow one epoch older. */
export function epochInodes(limits: NodeLimits): number {
  return Math.max(1, Math.floor(Math.min(limits.live, limits.paths) / 16));
}

/** How many to ask for when `known` are known: none up to the limit. */
export function excess(known: number, limit: number): number {
  return known > limit ? known - Math.floor((limit * 7) / 8) : 0;
}

/**
 * After asking, the next time is when so many are known: those in use can't be
 * forgotten, and asking again and again costs more than they do.
 */
export function nextLimit(known: number, limit: number): number {
  return known <= limit ? limit : known + Math.ceil(limit / 16);
}

export interface Choice {
  /** Nodes used this many epochs ago, or longer. */
  minAge: number;
  count: number;
}

/**
 * The oldest that make up `wanted`. `ages[n]`: how many were last used n epochs
 * ago. What was used in the present epoch is never chosen.
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
 * Where dropping one name lets the node go: not of directories, which would be
 * cut off from what is in use below them, nor where there are further names.
 */
export function droppableName(inode: Named | undefined): NodeName | undefined {
  if (inode === undefined || inode.isDirectory || inode.nlink !== 1) return undefined;
  return inode.links[0];
}
