/** `versions`: `PATH [limit=N]`, a path below the mountpoint. */
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { filePathOf, limitOf } from './parse-name.js';

export const versionsFile: CommandFile = {
  kind: 'command',
  name: 'versions',
  expected: 'PATH below the mountpoint [limit=N]',
  example: 'echo src/main.c > versions',
  parse(line) {
    refuseUnknownOptions(line, ['limit']);
    return { name: filePathOf(line), ...limitOf(line) };
  },
};
