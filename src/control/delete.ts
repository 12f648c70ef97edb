/** `delete`: `NAME`. */
import { refuseUnknownOptions } from '../format/grammar.js';
import type { CommandFile } from './control-file.js';
import { snapshotNameOf } from './parse-name.js';

export const deleteFile: CommandFile = {
  kind: 'command',
  name: 'delete',
  expected: 'NAME of a snapshot',
  example: 'echo before-upgrade > delete',
  parse(line) {
    refuseUnknownOptions(line, []);
    return { name: snapshotNameOf(line.name, 'the name of the snapshot', 'existing') };
  },
};
