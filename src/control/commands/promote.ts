/** `promote`: `epoch=N`, the epoch that begins, or `epoch=next`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { epochOf, isYes } from './parse-name.js';

export const promoteFile: CommandFile = {
  kind: 'command',
  name: 'promote',
  expected:
    'epoch=next, or epoch=N for the epoch that begins [force=yes, also while the primary answers]',
  example: 'echo epoch=next > promote',
  parse(line) {
    refuseUnknownOptions(line, ['epoch', 'force']);
    // As for `save`: an empty line is mostly a script's mistake.
    if (line.name !== undefined || !line.options.has('epoch')) {
      throw new CommandError('bad-command-line', 'EINVAL', 'epoch=next or epoch=N is expected');
    }
    const force = isYes(line, 'force') && { force: true };
    return { ...(line.options.get('epoch') === 'next' ? {} : epochOf(line)), ...force };
  },
};
