/** The answer to the command `group-save`: the outcome, with the names that people use. */
import { CommandError } from '../../lib/errors.js';
import { withNames } from '../../format/text/peer-names.js';
import type { Answer } from '../../control/command.js';
import type { GroupAnswer } from '../../sync/group/group-messages.js';
import type { Volume } from '../../volume/volume.js';
import type { GroupMember } from './group-member.js';

export interface GroupAnswerParts {
  volume: Volume;
  groups: GroupMember;
  /** Of a peer that is not connected: since when, and when it was heard. */
  away: (uuid: string) => string | undefined;
}

/**
 * Throws `group-save-failed`, which names the absent members and the reasons: then no member has
 * the snapshot.
 */
export function groupAnswer(
  answer: GroupAnswer,
  name: string,
  peers: readonly string[],
  note: string | undefined,
  { volume, groups, away }: GroupAnswerParts,
): Answer {
  const { outcome, key, missing } = answer;
  const parked = { timings: { parkedMs: 0, ...groups.parked(key) } };
  if (outcome === 'committed') {
    return { name, outcome, peers, group: key, ...(note !== undefined && { note }), ...parked };
  }
  const nameOf = (uuid: string): string =>
    uuid === volume.uuid ? 'this mount' : (volume.peers.nameOf(uuid) ?? uuid);
  const named = Object.entries(missing).map(([uuid, said]) => {
    const reason = withNames(said, nameOf);
    const link = away(uuid);
    return { member: nameOf(uuid), reason: link === undefined ? reason : `${reason} (${link})` };
  });
  const reasons = named.map(({ member, reason }) => `${member}: ${reason}`).join('; ');
  throw new CommandError('group-save-failed', 'EAGAIN', `nobody was saved as ${name}: ${reasons}`, {
    name,
    outcome,
    group: key,
    missing: named,
    ...parked,
  });
}
