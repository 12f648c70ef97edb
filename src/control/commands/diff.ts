/**
 * `diff`: `NAME [to=NAME] [path=PATH//PATH…] [fold=yes] [limit=N]`; without `to` the live tree is
 * the second side. `branch=NAME` in place of NAME: what the branch has done since its fork.
 */
import { LATEST_NAME, refuseUnknownOptions } from '../../format/text/grammar.js';
import { CommandError } from '../../lib/errors.js';
import type { CommandArguments } from '../command.js';
import type { CommandFile } from '../control-file.js';
import { branchNameOf } from './branch.js';
import { isYes, limitOf, pathsOf, snapshotNameOf } from './parse-name.js';

export const diffFile: CommandFile = {
  kind: 'command',
  name: 'diff',
  expected: 'NAME [to=NAME] | branch=NAME [path=PATH//PATH…] [fold=yes] [limit=N] [copies=DIR]',
  example: 'echo before-upgrade > diff',
  parse(line) {
    refuseUnknownOptions(line, ['to', 'branch', 'path', 'fold', 'limit', 'copies']);
    const side = (name: string | undefined, what: string): string =>
      name === LATEST_NAME ? name : snapshotNameOf(name, what, 'existing');
    const branch = line.options.get('branch');
    const to = line.options.get('to');
    if (branch !== undefined && (line.name ?? to) !== undefined) {
      throw new CommandError(
        'bad-command-line',
        'EINVAL',
        'either snapshots or branch=NAME is expected',
      );
    }
    const copies = line.options.get('copies');
    if (copies !== undefined && !copies.startsWith('/')) {
      throw new CommandError(
        'bad-command-line',
        'EINVAL',
        'copies=DIR: an absolute path is expected',
      );
    }
    const args: CommandArguments = {
      ...(branch === undefined
        ? { name: side(line.name, 'the first snapshot') }
        : { branch: branchNameOf(branch, 'the branch') }),
      ...(copies !== undefined && { copies }),
      ...limitOf(line),
      ...pathsOf(line),
      ...(isYes(line, 'fold') && { fold: true }),
    };
    if (to !== undefined) args.to = side(to, 'the second snapshot');
    return args;
  },
};
