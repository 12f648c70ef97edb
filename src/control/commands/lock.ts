/** `lock`: `NAME reason=TEXT`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { existingOf } from './parse-name.js';

export const lockFile: CommandFile = {
  kind: 'command',
  name: 'lock',
  expected: 'NAME reason=TEXT',
  example: `echo 'monday reason="the audit needs it"' > lock`,
  parse(line) {
    refuseUnknownOptions(line, ['reason']);
    const reason = line.options.get('reason');
    if (reason === undefined || reason === '') {
      throw new CommandError(
        'bad-command-line',
        'EINVAL',
        'the reason is missing: why is the snapshot needed? (in the control file: reason=TEXT)',
      );
    }
    return { name: existingOf(line.name, 'the name of the snapshot'), reason };
  },
};
