/** `versions`: `PATH [limit=N]`, a path below the mountpoint. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { limitOf } from './parse-name.js';

export const versionsFile: CommandFile = {
  kind: 'command',
  name: 'versions',
  expected: 'PATH below the mountpoint [limit=N]',
  example: 'echo src/main.c > versions',
  parse(line) {
    refuseUnknownOptions(line, ['limit']);
    if (line.name === undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'the path of a file is missing');
    }
    return { name: line.name.replace(/^\/+|\/+$/g, ''), ...limitOf(line) };
  },
};
