/**
 * `diff`: `NAME [to=NAME] [path=PATH//PATH…] [fold=yes] [limit=N]`; without `to` the live tree is
 * the second side.
 */
import { LATEST_NAME, refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandArguments } from '../command.js';
import type { CommandFile } from '../control-file.js';
import { isYes, limitOf, pathsOf, snapshotNameOf } from './parse-name.js';

export const diffFile: CommandFile = {
  kind: 'command',
  name: 'diff',
  expected: 'NAME [to=NAME] [path=PATH//PATH…] [fold=yes] [limit=N]',
  example: 'echo before-upgrade > diff',
  parse(line) {
    refuseUnknownOptions(line, ['to', 'path', 'fold', 'limit']);
    const side = (name: string | undefined, what: string): string =>
      name === LATEST_NAME ? name : snapshotNameOf(name, what, 'existing');
    const args: CommandArguments = {
      name: side(line.name, 'the first snapshot'),
      ...limitOf(line),
      ...pathsOf(line),
      ...(isYes(line, 'fold') && { fold: true }),
    };
    const to = line.options.get('to');
    if (to !== undefined) args.to = side(to, 'the second snapshot');
    return args;
  },
};
