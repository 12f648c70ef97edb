/**
 * What a volume is among those that hold the same history: the one that is
 * written to, one that follows, or one that stands alone. Stored in `meta`.
 *
 * What must hold: an epoch never goes down; each promotion has one of its own,
 * so that of two primaries the one that was promoted later is known by it.
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
  /** UUID of the volume that was made primary in the epoch: of two in one epoch, each has its own. */
  readonly by?: string;
  /** UUID of the volume that a standby follows, or followed before it was promoted. */
  readonly upstream?: string;
  /** UUID of the snapshot that a standby shows. */
  readonly shown?: string;
  /** Of a primary that has turned standby for another one to take its place. */
  readonly handover?: { to: string; epoch: { number: number; by: string }; snapshot: string };
}

/** Of a volume that was never told. */
export const NO_ROLE: Role = { role: 'none', epoch: 0 };

/** Throws CommandError `epoch-too-low`. */
export function checkEpoch(current: Role, epoch: number): void {
  if (Number.isSafeInteger(epoch) && epoch >= current.epoch) return;
  throw new CommandError(
    'epoch-too-low',
    'EINVAL',
    `the role epoch ${epoch} is over: this volume is ${current.role} of epoch ${current.epoch}`,
    { epoch: current.epoch },
  );
}
