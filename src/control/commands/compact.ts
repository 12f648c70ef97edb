/** `compact`: an empty line. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';

export const compactFile: CommandFile = {
  kind: 'command',
  name: 'compact',
  expected: 'an empty line',
  example: 'echo > compact',
  parse(line) {
    refuseUnknownOptions(line, []);
    if (line.name === undefined) return {};
    throw new CommandError('bad-command-line', 'EINVAL', 'an empty line is expected');
  },
};
