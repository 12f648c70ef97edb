/** `delete`: `NAME [force=yes]`. */
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes, snapshotNameOf } from './parse-name.js';

export const deleteFile: CommandFile = {
  kind: 'command',
  name: 'delete',
  expected: 'NAME of a snapshot [force=yes, also when it is locked]',
  example: 'echo before-upgrade > delete',
  parse(line) {
    refuseUnknownOptions(line, ['force']);
    const name = snapshotNameOf(line.name, 'the name of the snapshot', 'existing');
    return { name, ...(isYes(line, 'force') && { force: true }) };
  },
};
