/** `demote`: `NAME` of the newest snapshot that the other side has, or `latest`. */
import { LATEST_NAME, refuseUnknownOptions } from '../format/grammar.js';
import type { CommandFile } from './control-file.js';
import { epochOf, snapshotNameOf } from './parse-name.js';

export const demoteFile: CommandFile = {
  kind: 'command',
  name: 'demote',
  expected: 'NAME of the newest snapshot that the other side has, or latest; epoch=N if it is told',
  example: 'echo latest > demote',
  parse(line) {
    refuseUnknownOptions(line, ['epoch']);
    const epoch = epochOf(line);
    if (line.name === LATEST_NAME) return epoch;
    return { name: snapshotNameOf(line.name, 'the name of the snapshot', 'existing'), ...epoch };
  },
};
