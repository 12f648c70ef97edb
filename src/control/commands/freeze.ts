/** `freeze`: `[preview=yes] [force=yes]` */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes } from './parse-name.js';

export const freezeFile: CommandFile = {
  kind: 'command',
  name: 'freeze',
  expected: '[preview=yes] [force=yes, gives up what the base has no more]',
  example: 'echo > freeze',
  parse(line) {
    refuseUnknownOptions(line, ['preview', 'force']);
    if (line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'freeze takes no name');
    }
    const force = isYes(line, 'force') ? { force: true } : {};
    return isYes(line, 'preview') ? { dryRun: true } : force;
  },
};
