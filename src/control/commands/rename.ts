/** `rename`: `NAME to=NEW`. */
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { snapshotNameOf } from './parse-name.js';

export const renameFile: CommandFile = {
  kind: 'command',
  name: 'rename',
  expected: 'NAME to=NEW',
  example: 'echo before to=before-upgrade > rename',
  parse(line) {
    refuseUnknownOptions(line, ['to']);
    return {
      name: snapshotNameOf(line.name, 'the name of the snapshot', 'existing'),
      to: snapshotNameOf(line.options.get('to'), 'the new name (to=NEW)', 'target'),
    };
  },
};
