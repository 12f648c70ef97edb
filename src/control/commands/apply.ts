/** `apply`: `[path=PATH//PATH…] [ours=yes] [preview=yes [limit=N]]`; without paths everything. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes, limitOf, pathsOf } from './parse-name.js';

export const applyFile: CommandFile = {
  kind: 'command',
  name: 'apply',
  expected: '[path=PATH//PATH…] [ours=yes] [preview=yes [limit=N]]',
  example: 'echo path=src//README.md > apply',
  parse(line) {
    refuseUnknownOptions(line, ['path', 'ours', 'preview', 'limit']);
    if (line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', `path=${line.name} is expected`);
    }
    return {
      ...pathsOf(line),
      ...limitOf(line),
      ...(isYes(line, 'ours') && { resolve: 'ours' as const }),
      ...(isYes(line, 'preview') && { dryRun: true }),
    };
  },
};
