/** `restore`: `NAME`; `latest` is the newest saved snapshot. */
import { LATEST_NAME, refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { snapshotNameOf } from './parse-name.js';

export const restoreFile: CommandFile = {
  kind: 'command',
  name: 'restore',
  expected: 'NAME of a snapshot, or latest',
  example: 'echo before-upgrade > restore',
  parse(line) {
    refuseUnknownOptions(line, []);
    if (line.name === LATEST_NAME) return { name: LATEST_NAME };
    return { name: snapshotNameOf(line.name, 'the name of the snapshot', 'existing') };
  },
};
