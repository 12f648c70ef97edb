/** `delete`: `NAME [force=yes]`, or `names=NAME/NAME… [force=yes]`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes, snapshotNameOf } from './parse-name.js';

export const deleteFile: CommandFile = {
  kind: 'command',
  name: 'delete',
  expected: 'NAME of a snapshot, or names=NAME/NAME… [force=yes, also those that are locked]',
  example: 'echo before-upgrade > delete',
  parse(line) {
    refuseUnknownOptions(line, ['force', 'names']);
    const force = isYes(line, 'force') ? { force: true } : {};
    const several = line.options.get('names');
    if (several === undefined) return { name: deletable(line.name), ...force };
    if (line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'either a NAME or names= is expected');
    }
    // No name has a slash.
    return { names: several.split('/').map(deletable), ...force };
  },
};

function deletable(name: string | undefined): string {
  return snapshotNameOf(name, 'the name of the snapshot', 'existing');
}
