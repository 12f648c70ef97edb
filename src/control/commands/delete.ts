/** `delete`: `NAME`, or `names=NAME/NAME…` and `match=WORD/WORD…`; `[older-than=TIME] [force=yes] [dry=yes]`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes, snapshotNameOf } from './parse-name.js';
import { setIn, SET_OPTIONS } from './parse-set.js';

export const deleteFile: CommandFile = {
  kind: 'command',
  name: 'delete',
  expected:
    'NAME of a snapshot, or names=NAME/NAME… or match=PATTERN/A..B… [older-than=TIME] [dry=yes] ' +
    '[force=yes, also those that are locked]',
  example: 'echo before-upgrade > delete',
  parse(line) {
    refuseUnknownOptions(line, ['force', ...SET_OPTIONS]);
    const force = isYes(line, 'force') ? { force: true } : {};
    const set = setIn(line);
    if (set.set === undefined && set.dryRun !== true) {
      return { name: snapshotNameOf(line.name, 'the name of the snapshot', 'existing'), ...force };
    }
    if (line.name === undefined) return { ...set, ...force };
    throw new CommandError(
      'bad-command-line',
      'EINVAL',
      'either a NAME is expected, or names=, match= or older-than=, with dry=yes if wanted',
    );
  },
};
