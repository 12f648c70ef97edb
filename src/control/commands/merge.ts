/** `merge`: `NAME [ours=yes|theirs=yes] [text=yes] [apply=yes] [preview=yes [limit=N]]`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { branchNameOf } from './branch.js';
import { isYes, limitOf } from './parse-name.js';

export const mergeFile: CommandFile = {
  kind: 'command',
  name: 'merge',
  expected:
    'NAME of a branch [ours=yes or theirs=yes: whose version of a file that both changed counts] ' +
    '[text=yes: merge its lines first] [apply=yes: apply it to the base, too] [preview=yes [limit=N]]',
  example: 'echo try text=yes > merge',
  parse(line) {
    refuseUnknownOptions(line, ['ours', 'theirs', 'text', 'apply', 'preview', 'limit']);
    const [isOurs, isTheirs] = [isYes(line, 'ours'), isYes(line, 'theirs')];
    if (isOurs && isTheirs) {
      throw new CommandError('bad-command-line', 'EINVAL', 'either ours or theirs is expected');
    }
    return {
      name: branchNameOf(line.name, 'the name of the branch'),
      ...limitOf(line),
      ...(isOurs && { resolve: 'ours' as const }),
      ...(isTheirs && { resolve: 'theirs' as const }),
      ...(isYes(line, 'text') && { text: true }),
      ...(isYes(line, 'apply') && { apply: true }),
      ...(isYes(line, 'preview') && { dryRun: true }),
    };
  },
};
