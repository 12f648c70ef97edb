/**
 * `apply`: `[path=PATH//PATH…] [branch=NAME] [ours=yes|theirs=yes] [give-back=yes] [preview=yes [limit=N]]`;
 * without paths everything.
 */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { branchNameOf } from './branch.js';
import { isYes, limitOf, pathsOf } from './parse-name.js';

export const applyFile: CommandFile = {
  kind: 'command',
  name: 'apply',
  expected:
    '[path=PATH//PATH…] [branch=NAME] [ours=yes] [give-back=yes] [preview=yes [limit=N]] [theirs=yes: what the tree is now ' +
    "stays as an undo snapshot; shadowfs apply --theirs then takes the base's versions]",
  example: 'echo path=src//README.md > apply',
  parse(line) {
    refuseUnknownOptions(line, [
      'path',
      'branch',
      'ours',
      'theirs',
      'give-back',
      'preview',
      'limit',
    ]);
    if (line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', `path=${line.name} is expected`);
    }
    const [isOurs, isTheirs] = [isYes(line, 'ours'), isYes(line, 'theirs')];
    if (isOurs && isTheirs) {
      throw new CommandError('bad-command-line', 'EINVAL', 'either ours or theirs is expected');
    }
    const branch = line.options.get('branch');
    if (branch !== undefined && isTheirs) {
      throw new CommandError(
        'bad-command-line',
        'EINVAL',
        'theirs=yes changes the tree that the mount shows, not branch=',
      );
    }
    return {
      ...pathsOf(line),
      ...(branch !== undefined && { branch: branchNameOf(branch, 'the branch') }),
      ...limitOf(line),
      ...(isOurs && { resolve: 'ours' as const }),
      ...(isTheirs && { resolve: 'theirs' as const }),
      ...(isYes(line, 'give-back') && { givesBack: true }),
      ...(isYes(line, 'preview') && { dryRun: true }),
    };
  },
};
