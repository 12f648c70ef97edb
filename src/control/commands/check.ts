/** `check`: an empty line. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';

export const checkFile: CommandFile = {
  kind: 'command',
  name: 'check',
  expected: 'an empty line',
  example: 'echo > check',
  parse(line) {
    refuseUnknownOptions(line, []);
    if (line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'check takes no name');
    }
    return {};
  },
};
