/**
 * Bounds of the numbers that peers send and that are stored here, or counted on
 * from: one that is no count of anything, believed once, would stay the highest
 * for ever. Pure.
 */
import { CommandError, messageOf } from '../../lib/errors.js';
import { MAX_LOCK_SEQUENCE } from '../../format/records/lock-record.js';
import { refuseFarEpoch } from '../../volume/peers/role.js';
import type { Epoch, SyncAnswer, SyncRequest } from './messages.js';
import type { SyncVolume } from './sync-volume.js';

/** An agent numbers its sets of locks, and its transfers, from a start of its own at each of its runs. */
export const NUMBERS_EACH = 2 ** 24;

/** Looks at all that peers say, for `calls.ts`; a peer is named in the log once, until it says what can be. */
export function numberCheck(
  volume: SyncVolume,
  nameOf: (peer: string) => string,
  log: (message: string) => void,
): (from: string, said: SyncRequest | SyncAnswer) => void {
  const broken = new Set<string>();
  return (from, said) => {
    try {
      refuseNumbers(nameOf(from), volume.role().epoch, said);
      broken.delete(from);
    } catch (error) {
      if (!broken.has(from)) log(messageOf(error));
      broken.add(from);
      throw error;
    }
  };
}

/**
 * What is whole, but says a number that can't be. `peer`: as people call it; `mine`: the epoch of
 * this volume. Throws CommandError `epoch-too-high` or `bad-question`, which names the peer.
 */
function refuseNumbers(peer: string, mine: Epoch, said: SyncRequest | SyncAnswer): void {
  for (const { number } of epochsIn(said)) {
    refuseFarEpoch(mine.number, number, `${peer} says that it knows of role epoch ${number}`);
  }
  const number = numberIn(said);
  if (number <= MAX_LOCK_SEQUENCE) return;
  const message = `${peer} counts its questions up to ${number}, above ${MAX_LOCK_SEQUENCE}: it is broken`;
  throw new CommandError('bad-question', 'ERANGE', message);
}

function epochsIn(said: SyncRequest | SyncAnswer): readonly Epoch[] {
  if (said === null) return [];
  if ('standing' in said) {
    const { epoch, handover } = said.standing;
    return handover === undefined ? [epoch] : [epoch, handover.epoch];
  }
  return 'epoch' in said ? [said.epoch] : [];
}

/** Of a set of locks or a transfer; late ones of these are told by it. */
function numberIn(said: SyncRequest | SyncAnswer): number {
  if (said === null || !('kind' in said)) return 0;
  if (said.kind === 'locks') return said.sequence;
  return said.kind === 'read' ? said.transfer : 0;
}
