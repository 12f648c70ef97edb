/** `options`: `NAME=VALUE …`, options of the volume. */
import { CommandError } from '../../lib/errors.js';
import { parseVolumeOptions } from '../../format/text/volume-options.js';
import type { CommandFile } from '../control-file.js';

export const optionsFile: CommandFile = {
  kind: 'command',
  name: 'options',
  expected: 'NAME=VALUE …',
  example: `echo 'quota=10G keep-undo=20' > options`,
  parse({ name, options }) {
    if (name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', `${name}: expected NAME=VALUE`);
    }
    if (options.size === 0) {
      throw new CommandError('bad-command-line', 'EINVAL', 'the option to change is missing');
    }
    return { changes: parseVolumeOptions(options) };
  },
};
