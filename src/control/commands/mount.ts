/**
 * `mount`: `MOUNTPOINT [branch=NAME] [options=OPTION,…] [driver=NAME] [source=NAME]
 * [into=PID:NAMESPACE]`
 */
import { checkBranchName, refuseUnknownOptions } from '../../format/text/grammar.js';
import { CommandError } from '../../lib/errors.js';
import type { CommandFile } from '../control-file.js';

const KEYS = ['branch', 'options', 'driver', 'source', 'into'] as const;

export const mountFile: CommandFile = {
  kind: 'command',
  name: 'mount',
  expected:
    'MOUNTPOINT, an absolute path [branch=NAME, options=OPTION,… as after -o, driver=NAME, ' +
    'source=NAME that df shows, into=PID:NAMESPACE as /proc/PID/ns/mnt names it]',
  example: 'echo /mnt/try branch=try > mount',
  parse(line) {
    refuseUnknownOptions(line, KEYS);
    const { name, options } = line;
    if (name?.startsWith('/') !== true) {
      throw new CommandError('bad-command-line', 'EINVAL', 'the mountpoint is an absolute path');
    }
    const branch = options.get('branch');
    const objection = branch === undefined ? undefined : checkBranchName(branch);
    if (objection !== undefined) throw new CommandError('bad-branch-name', 'EINVAL', objection);
    const into = options.get('into');
    if (into !== undefined && !/^[1-9]\d*:mnt:\[\d+\]$/.test(into)) {
      const message = 'into: PID:NAMESPACE is expected, such as 1234:mnt:[4026532200]';
      throw new CommandError('bad-command-line', 'EINVAL', message);
    }
    const given = KEYS.map((key) => [key, options.get(key)] as const);
    return { name, mount: Object.fromEntries(given.filter(([, text]) => text !== undefined)) };
  },
};
