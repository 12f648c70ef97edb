/** `freeze`: `[preview=yes]` */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes } from './parse-name.js';

export const freezeFile: CommandFile = {
  kind: 'command',
  name: 'freeze',
  expected: '[preview=yes]',
  example: 'echo > freeze',
  parse(line) {
    refuseUnknownOptions(line, ['preview']);
    if (line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'freeze takes no name');
    }
    return isYes(line, 'preview') ? { dryRun: true } : {};
  },
};
