/** Options that choose several snapshots, for the commands that take them. */
import { CommandError } from '../../lib/errors.js';
import type { CommandLine } from '../../format/text/grammar.js';
import { MOMENT_FORMS, parseMoment } from '../../format/text/moment.js';
import type { CommandArguments } from '../command.js';
import { isYes, snapshotNameOf } from './parse-name.js';

export const SET_OPTIONS = ['names', 'match', 'older-than', 'dry'] as const;

/**
 * `names=NAME/NAME… match=WORD/WORD… older-than=TIME dry=yes`: no name has a slash. Throws
 * CommandError.
 */
export function setIn(line: CommandLine): Pick<CommandArguments, 'set' | 'dryRun'> {
  const names = line.options.get('names')?.split('/');
  const match = line.options.get('match')?.split('/');
  const beforeMs = beforeIn(line);
  for (const name of names ?? []) snapshotNameOf(name, 'the name of the snapshot', 'existing');
  if (match?.includes('') === true) {
    throw new CommandError('bad-command-line', 'EINVAL', 'match: an empty pattern stands there');
  }
  const set = {
    ...(names !== undefined && { names }),
    ...(match !== undefined && { match }),
    ...(beforeMs !== undefined && { beforeMs }),
  };
  return {
    ...(Object.keys(set).length > 0 && { set }),
    ...(isYes(line, 'dry') && { dryRun: true }),
  };
}

function beforeIn(line: CommandLine): number | undefined {
  const text = line.options.get('older-than');
  if (text === undefined) return undefined;
  const ms = parseMoment(text, Date.now());
  if (ms !== undefined) return ms;
  throw new CommandError(
    'bad-command-line',
    'EINVAL',
    `older-than=${text}: expected ${MOMENT_FORMS}`,
  );
}
