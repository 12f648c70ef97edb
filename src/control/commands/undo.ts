/**
 * `undo`: an empty line, `back` or `forward`; `dry=yes` only says what it would do. `ours=yes`: of an
 * apply, also what others have changed in the base since.
 */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes } from './parse-name.js';

export const undoFile: CommandFile = {
  kind: 'command',
  name: 'undo',
  expected: 'an empty line, back, or forward [dry=yes] [ours=yes]',
  example: 'echo > undo',
  parse(line) {
    refuseUnknownOptions(line, ['dry', 'ours']);
    const rest = {
      ...(isYes(line, 'dry') && { dryRun: true }),
      ...(isYes(line, 'ours') && { resolve: 'ours' as const }),
    };
    const { name } = line;
    if (name === undefined) return rest;
    if (name === 'back' || name === 'forward') return { direction: name, ...rest };
    throw new CommandError('bad-command-line', 'EINVAL', 'back or forward is expected, or nothing');
  },
};
