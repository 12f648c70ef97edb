/** `save`: `NAME`, or `auto=yes` for a name made from the time; `note=TEXT` says what it is about. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { noteIn, snapshotNameOf } from './parse-name.js';

export const saveFile: CommandFile = {
  kind: 'command',
  name: 'save',
  expected:
    'NAME, or auto=yes for a name made from the time [note=TEXT, or note-json="a JSON string" for several lines]',
  example: 'echo before-upgrade > save',
  parse(line) {
    refuseUnknownOptions(line, ['auto', 'note', 'note-json']);
    const auto = line.options.get('auto');
    const note = noteIn(line);
    if (auto === undefined) {
      const name = snapshotNameOf(line.name, 'the name of the new snapshot', 'target');
      return { name, ...note };
    }
    // An empty line is refused, because it is mostly a script's unset variable.
    if (auto !== 'yes' || line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'either a NAME or auto=yes is expected');
    }
    return note;
  },
};
