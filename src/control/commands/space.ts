/** `space`: `[NAME] [names=NAME/NAME…] [branch=NAME/NAME…] [files=N]`; names may be patterns and ranges. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { branchNameOf } from './branch.js';

const MAX_FILES = 100_000;

export const spaceFile: CommandFile = {
  kind: 'command',
  name: 'space',
  expected:
    '[NAME] [names=NAME/NAME…] [branch=NAME/NAME…] [files=N]: snapshots (also patterns, A..B) and ' +
    'branches, or nothing for all',
  example: 'echo before-upgrade files=10 > space',
  parse(line) {
    refuseUnknownOptions(line, ['names', 'branch', 'files']);
    // No name has a slash.
    const listed = (key: string): string[] => line.options.get(key)?.split('/') ?? [];
    const names = [...(line.name === undefined ? [] : [line.name]), ...listed('names')];
    const branches = listed('branch').map((name) => branchNameOf(name, 'the branch'));
    const files = line.options.get('files');
    if (files !== undefined && names.length + branches.length === 0) {
      throw new CommandError(
        'bad-command-line',
        'EINVAL',
        'files=N: the names of snapshots or branches are expected, too',
      );
    }
    return {
      ...(names.length > 0 && { names }),
      ...(branches.length > 0 && { branches }),
      ...(files !== undefined && { files: countOf(files) }),
    };
  },
};

function countOf(text: string): number {
  const count = Number(text);
  if (/^\d{1,6}$/.test(text) && count >= 1 && count <= MAX_FILES) return count;
  throw new CommandError(
    'bad-command-line',
    'EINVAL',
    `files=${text}: a number from 1 to ${MAX_FILES} is expected`,
  );
}
