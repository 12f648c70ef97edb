/** `log`: `PATH [limit=N]`, a path below the mountpoint. */
import type { CommandFile } from '../control-file.js';
import { filePathOf, limitOf } from './parse-name.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';

export const logFile: CommandFile = {
  kind: 'command',
  name: 'log',
  expected: 'PATH below the mountpoint [limit=N]',
  example: 'echo src/main.c > log',
  parse(line) {
    refuseUnknownOptions(line, ['limit']);
    return { name: filePathOf(line), ...limitOf(line) };
  },
};
