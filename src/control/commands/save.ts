/** `save`: `NAME`, or `auto=yes` for a name made from the time. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { snapshotNameOf } from './parse-name.js';

export const saveFile: CommandFile = {
  kind: 'command',
  name: 'save',
  expected: 'NAME, or auto=yes for a name made from the time',
  example: 'echo before-upgrade > save',
  parse(line) {
    refuseUnknownOptions(line, ['auto']);
    const auto = line.options.get('auto');
    if (auto === undefined)
      return { name: snapshotNameOf(line.name, 'the name of the new snapshot', 'target') };
    // An empty line is refused, because it is mostly a script's unset variable.
    if (auto !== 'yes' || line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'either a NAME or auto=yes is expected');
    }
    return {};
  },
};
