/** `sync`: `now`, `pause` or `resume`. */
import { CommandError } from '../base/errors.js';
import { refuseUnknownOptions } from '../format/grammar.js';
import type { CommandFile } from './control-file.js';

const ACTIONS = { now: 'sync', pause: 'pause', resume: 'resume' } as const;

export const syncFile: CommandFile = {
  kind: 'command',
  name: 'sync',
  expected: 'now, pause or resume',
  example: 'echo now > sync',
  parse(line) {
    refuseUnknownOptions(line, []);
    const action = Object.entries(ACTIONS).find(([name]) => name === line.name)?.[1];
    if (action !== undefined) return { action };
    throw new CommandError('bad-command-line', 'EINVAL', 'now, pause or resume is expected');
  },
};
