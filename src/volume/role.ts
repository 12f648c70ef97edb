/**
 * What a volume is among those that hold the same history: the one that is
 * written to, one that follows, or one that stands alone. Stored in `meta`.
 *
 * What must hold: an epoch never goes down; each promotion has one of its own,
 * so that of two primaries the one that was promoted later is known by it.
 */
import { CommandError } from '../base/errors.js';

export const ROLE_NAMES = ['none', 'primary', 'standby'] as const;
export type RoleName = (typeof ROLE_NAMES)[number];

export interface Role {
  /** 'none': it stands alone. */
  readonly role: RoleName;
  readonly epoch: number;
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
