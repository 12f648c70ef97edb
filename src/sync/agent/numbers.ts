/**
 * Bounds of the numbers that peers send and that are stored here, or counted on
 * from. A number that is no real count, once accepted, would stay the highest
 * for ever. Pure.
 */
import { CommandError, messageOf } from '../../lib/errors.js';
import { MAX_LOCK_SEQUENCE } from '../../format/records/lock-record.js';
import { refuseFarEpoch } from '../../volume/peers/role.js';
import type { Epoch, SyncAnswer, SyncRequest } from './messages.js';
import type { SyncVolume } from './sync-volume.js';

/** Each run of an agent numbers its sets of locks, and its transfers, from a start of its own. */
export const NUMBERS_EACH = 2 ** 24;

/**
 * Checks all messages of peers, for `calls.ts`. The log names a peer once, until it sends a valid
 * message.
 */
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
 * Refuses a well-formed message with an impossible number. `peer`: its name for people; `mine`: the
 * epoch of this volume. Throws CommandError `epoch-too-high` or `bad-question`, which names the
 * peer.
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

/** The number of a set of locks or a transfer, by which late ones are recognised. */
function numberIn(said: SyncRequest | SyncAnswer): number {
  if (said === null || !('kind' in said)) return 0;
  if (said.kind === 'locks') return said.sequence;
  return said.kind === 'read' ? said.transfer : 0;
}
