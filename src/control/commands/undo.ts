/** `undo`: an empty line, `back` or `forward`; `dry=yes` only says what it would do. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { isYes } from './parse-name.js';

export const undoFile: CommandFile = {
  kind: 'command',
  name: 'undo',
  expected: 'an empty line, back, or forward [dry=yes]',
  example: 'echo > undo',
  parse(line) {
    refuseUnknownOptions(line, ['dry']);
    const dryRun = isYes(line, 'dry') ? { dryRun: true } : {};
    const { name } = line;
    if (name === undefined) return dryRun;
    if (name === 'back' || name === 'forward') return { direction: name, ...dryRun };
    throw new CommandError('bad-command-line', 'EINVAL', 'back or forward is expected, or nothing');
  },
};
