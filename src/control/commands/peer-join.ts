/** `peer-join`: `TOKEN [name=NAME]`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { peerNameOf } from './parse-name.js';

export const peerJoinFile: CommandFile = {
  kind: 'command',
  name: 'peer-join',
  expected: 'TOKEN [name=NAME]',
  example: 'echo "$TOKEN" name=office > peer-join',
  parse(line) {
    refuseUnknownOptions(line, ['name']);
    if (line.name === undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'the token is missing');
    }
    const name = line.options.get('name');
    return { name: line.name, ...(name !== undefined && { peerName: peerNameOf(name) }) };
  },
};
