/**
 * `branch`: `NAME [from=NAME | snapshot=NAME | branch=NAME]`; `branch-delete`: `NAME`;
 * `branch-rename`: `NAME to=NEW`; `switch`: `NAME`.
 */
import { CommandError } from '../../lib/errors.js';
import { checkBranchName, refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { existingOf } from './parse-name.js';

/** A checked branch name; `what` names it in errors. Throws CommandError. */
export function branchNameOf(name: string | undefined, what: string): string {
  if (name === undefined) {
    throw new CommandError('bad-command-line', 'EINVAL', `${what} is missing`);
  }
  const objection = checkBranchName(name);
  if (objection !== undefined) throw new CommandError('bad-branch-name', 'EINVAL', objection);
  return name;
}

export const branchFile: CommandFile = {
  kind: 'command',
  name: 'branch',
  expected: 'NAME [from=NAME of a snapshot or a branch; snapshot=NAME, branch=NAME]',
  example: 'echo try from=before-upgrade > branch',
  parse(line) {
    refuseUnknownOptions(line, ['from', 'snapshot', 'branch']);
    const name = branchNameOf(line.name, 'the name of the new branch');
    const of = line.options.get('from');
    const snapshot = line.options.get('snapshot');
    const branch = line.options.get('branch');
    const given = [of, snapshot, branch].filter((text) => text !== undefined);
    if (given.length > 1) {
      throw new CommandError(
        'bad-command-line',
        'EINVAL',
        'one of from=, snapshot= and branch= is expected',
      );
    }
    return {
      name,
      fork: {
        ...(of !== undefined && { of: existingOf(of, 'what it is forked from') }),
        ...(snapshot !== undefined && { snapshot: existingOf(snapshot, 'the snapshot') }),
        ...(branch !== undefined && { branch: branchNameOf(branch, 'the branch') }),
      },
    };
  },
};

export const branchDeleteFile: CommandFile = {
  kind: 'command',
  name: 'branch-delete',
  expected: 'NAME of a branch that is not mounted',
  example: 'echo try > branch-delete',
  parse(line) {
    refuseUnknownOptions(line, []);
    return { name: branchNameOf(line.name, 'the name of the branch') };
  },
};

export const branchRenameFile: CommandFile = {
  kind: 'command',
  name: 'branch-rename',
  expected: 'NAME to=NEW',
  example: 'echo try to=upgrade > branch-rename',
  parse(line) {
    refuseUnknownOptions(line, ['to']);
    return {
      name: branchNameOf(line.name, 'the name of the branch'),
      to: branchNameOf(line.options.get('to'), 'the new name (to=NEW)'),
    };
  },
};

export const switchFile: CommandFile = {
  kind: 'command',
  name: 'switch',
  expected: 'NAME of a branch that is not mounted',
  example: 'echo main > switch',
  parse(line) {
    refuseUnknownOptions(line, []);
    return { name: branchNameOf(line.name, 'the name of the branch') };
  },
};
