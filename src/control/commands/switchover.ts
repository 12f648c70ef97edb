/** `switchover`: `now`. Scripts know it as `revert`, its name in earlier versions. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';

function fileOf(name: 'switchover' | 'revert'): CommandFile {
  return {
    kind: 'command',
    name,
    expected: 'now',
    example: `echo now > ${name}`,
    parse(line) {
      refuseUnknownOptions(line, []);
      // As for `promote`: an empty line is mostly a script's mistake.
      if (line.name === 'now') return {};
      throw new CommandError('bad-command-line', 'EINVAL', 'now is expected');
    },
  };
}

export const switchoverFile = fileOf('switchover');
export const revertFile = fileOf('revert');
