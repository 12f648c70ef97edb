/**
 * The role of a volume among the volumes that hold the same history: primary,
 * standby, or none. Stored in `meta`.
 *
 * What must hold: an epoch never goes down; each promotion has an epoch of its
 * own, so that the later of two primaries is known by it.
 */
import { CommandError } from '../../lib/errors.js';

export const ROLE_NAMES = ['none', 'primary', 'standby'] as const;
export type RoleName = (typeof ROLE_NAMES)[number];

export interface Role extends Following {
  /** 'none': it stands alone. */
  readonly role: RoleName;
  readonly epoch: number;
}

/** What belongs to a role among peers. */
export interface Following {
  /**
   * UUID of the volume that was made primary in the epoch: it tells apart two volumes that were
   * promoted in the same epoch.
   */
  readonly by?: string;
  /** UUID of the volume that a standby follows, or followed before it was promoted. */
  readonly upstream?: string;
  /** UUID of the snapshot that a standby shows. */
  readonly shown?: string;
  /** For a primary that has turned standby: which volume takes its place. */
  readonly handover?: { to: string; epoch: { number: number; by: string }; snapshot: string };
}

/** The role of a volume that never got one. */
export const NO_ROLE: Role = { role: 'none', epoch: 0 };

/**
 * An epoch counts promotions: an epoch that is further ahead is no count. Accepting it would soon
 * leave no higher epoch to promote to.
 */
export const EPOCHS_AHEAD_MAX = 1_000_000;

/** Throws CommandError `epoch-too-low`, `epoch-exhausted`. */
export function checkEpoch(current: Role, epoch: number): void {
  if (epoch > Number.MAX_SAFE_INTEGER) throw exhausted(current.epoch);
  if (Number.isSafeInteger(epoch) && epoch >= current.epoch) return;
  throw new CommandError(
    'epoch-too-low',
    'EINVAL',
    `the role epoch ${epoch} is over: this volume is ${current.role} of epoch ${current.epoch}`,
    { epoch: current.epoch },
  );
}

/** The epoch after `epoch`. Throws CommandError `epoch-exhausted`. */
export function epochAfter(epoch: number): number {
  if (epoch < Number.MAX_SAFE_INTEGER) return epoch + 1;
  throw exhausted(epoch);
}

/**
 * `who`: the beginning of a sentence that says who named the epoch. Throws CommandError
 * `epoch-too-high`.
 */
export function refuseFarEpoch(current: number, epoch: number, who: string): void {
  if (epoch - current <= EPOCHS_AHEAD_MAX) return;
  throw new CommandError(
    'epoch-too-high',
    'ERANGE',
    `${who}, more than ${EPOCHS_AHEAD_MAX} above this volume's ${current}: an epoch counts ` +
      'promotions, so this can be no epoch, and it is ignored',
    { epoch: current },
  );
}

function exhausted(epoch: number): CommandError {
  return new CommandError(
    'epoch-exhausted',
    'EOVERFLOW',
    `this volume is in role epoch ${epoch}, and there is none above it: it can't be ` +
      'promoted any more (a broken peer has given it that epoch); send its snapshots into a new ' +
      'volume, and pair that one',
    { epoch },
  );
}
