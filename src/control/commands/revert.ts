/** `revert`: `now`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';

export const revertFile: CommandFile = {
  kind: 'command',
  name: 'revert',
  expected: 'now',
  example: 'echo now > revert',
  parse(line) {
    refuseUnknownOptions(line, []);
    // As for `promote`: an empty line is mostly a script's mistake.
    if (line.name === 'now') return {};
    throw new CommandError('bad-command-line', 'EINVAL', 'now is expected');
  },
};
