/** `restore-files`: `NAME path=PATH//PATH…`, before some paths are changed to what they were. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { existingOf, pathsOf } from './parse-name.js';

export const restoreFilesFile: CommandFile = {
  kind: 'command',
  name: 'restore-files',
  expected:
    'NAME path=PATH//PATH… [what the tree is now stays as an undo snapshot; ' +
    'shadowfs restore NAME PATH… then changes the files]',
  example: 'echo before-upgrade path=src//docs > restore-files',
  parse(line) {
    refuseUnknownOptions(line, ['path']);
    const { paths } = pathsOf(line);
    if (paths === undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'path=PATH//PATH… is missing');
    }
    return { name: existingOf(line.name, 'the name of the snapshot'), paths };
  },
};
