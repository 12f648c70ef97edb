/** `restore`: `NAME [undo=no]`; `latest` is the newest saved snapshot. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { existingOf } from './parse-name.js';

export const restoreFile: CommandFile = {
  kind: 'command',
  name: 'restore',
  expected: 'NAME of a snapshot, or latest [undo=no: what the tree is now is given up]',
  example: 'echo before-upgrade > restore',
  parse(line) {
    refuseUnknownOptions(line, ['undo']);
    const name = existingOf(line.name, 'the name of the snapshot');
    const undo = line.options.get('undo');
    if (undo === undefined || undo === 'yes') return { name };
    if (undo === 'no') return { name, keepsUndo: false };
    throw new CommandError('bad-command-line', 'EINVAL', `undo=${undo}: undo=no is expected`);
  },
};
