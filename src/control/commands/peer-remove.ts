/** `peer-remove`: `NAME [force=yes]`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';

export const peerRemoveFile: CommandFile = {
  kind: 'command',
  name: 'peer-remove',
  expected: 'NAME [force=yes]',
  example: 'echo office > peer-remove',
  parse(line) {
    refuseUnknownOptions(line, ['force']);
    if (line.name === undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'the name of the peer is missing');
    }
    const force = line.options.get('force');
    if (force !== undefined && force !== 'yes') {
      throw new CommandError('bad-command-line', 'EINVAL', 'force=yes is expected, or nothing');
    }
    return { name: line.name, force: force === 'yes' };
  },
};
