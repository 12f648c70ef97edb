/** What was measured in one row, and the figures that are made of it: medians, ratios, targets. */

export type Goal = { ratio: number } | { atMost: number };

export interface Measured {
  name: string;
  title: string;
  /** `x`: a ratio in itself. */
  unit: 'ms' | 'bytes' | 'x';
  target?: Goal;
  /** System → the value of each round. */
  rounds: Record<string, number[]>;
  /** System → memory of its server after it, in bytes, not backed by files. */
  memoryBytes: Record<string, number[]>;
}

/** Who is who among the systems. */
export interface Roles {
  disk: string;
  kernel: readonly string[];
  peers: readonly string[];
  own: readonly string[];
}

export interface Figures {
  medians: Record<string, number>;
  /** System → its median divided by that of the disk. Of times only. */
  ratios: Record<string, number>;
  bestPeer: string | undefined;
  worstPeer: string | undefined;
  /** Own system → its median divided by that of the best peer. */
  toBestPeer: Record<string, number>;
  /** Own system → whether the target is met. */
  isMet: Record<string, boolean>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export function figuresOf(
  row: Pick<Measured, 'unit' | 'target' | 'rounds'>,
  roles: Roles,
): Figures {
  const medians: Record<string, number> = {};
  for (const [name, values] of Object.entries(row.rounds)) {
    if (values.length > 0) medians[name] = median(values);
  }
  const ratios: Record<string, number> = {};
  const diskMedian = medians[roles.disk];
  if (row.unit === 'ms' && diskMedian !== undefined) {
    for (const [name, value] of Object.entries(medians)) ratios[name] = value / diskMedian;
  }
  const peers = roles.peers
    .filter((name) => medians[name] !== undefined)
    .sort((a, b) => (medians[a] ?? 0) - (medians[b] ?? 0));
  const bestPeer = peers[0];
  const worstPeer = peers[peers.length - 1];
  const toBestPeer: Record<string, number> = {};
  const isMet: Record<string, boolean> = {};
  for (const name of roles.own) {
    const own = medians[name];
    const best = bestPeer === undefined ? undefined : medians[bestPeer];
    if (own === undefined) continue;
    if (best !== undefined && best > 0) toBestPeer[name] = own / best;
    if (row.target === undefined) continue;
    const [value, limit] =
      'ratio' in row.target ? [ratios[name], row.target.ratio] : [own, row.target.atMost];
    // As many places as the table shows, in favour of what is measured.
    if (value !== undefined) isMet[name] = Math.min(value, Number(value.toPrecision(3))) <= limit;
  }
  return { medians, ratios, bestPeer, worstPeer, toBestPeer, isMet };
}
