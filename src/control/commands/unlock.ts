/** `unlock`: `NAME [reason=TEXT]`, or `from=ORIGIN` for all locks of one dependent. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { existingOf } from './parse-name.js';

export const unlockFile: CommandFile = {
  kind: 'command',
  name: 'unlock',
  expected:
    'NAME [reason=TEXT], or from=ORIGIN for all locks of a dependent that no longer needs them',
  example: 'echo monday > unlock',
  parse(line) {
    refuseUnknownOptions(line, ['reason', 'from']);
    const from = line.options.get('from');
    const reason = line.options.get('reason');
    if (from === undefined) {
      const name = existingOf(line.name, 'the name of the snapshot');
      return { name, ...(reason !== undefined && { reason }) };
    }
    if (line.name !== undefined || reason !== undefined || from === '') {
      throw new CommandError(
        'bad-command-line',
        'EINVAL',
        'either a NAME or from=ORIGIN is expected',
      );
    }
    return { from };
  },
};
