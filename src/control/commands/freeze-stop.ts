/** `freeze-stop`, a file of its own: the kernel lets nobody write to `freeze` while that waits. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';

export const freezeStopFile: CommandFile = {
  kind: 'command',
  name: 'freeze-stop',
  expected: 'an empty line',
  example: 'echo > freeze-stop',
  parse(line) {
    refuseUnknownOptions(line, []);
    if (line.name === undefined) return {};
    throw new CommandError('bad-command-line', 'EINVAL', 'freeze-stop takes no name');
  },
};
