/**
 * `sync`: `now`, `pause`, `resume`; when to fetch: `"every 10m"` or `always`; what to keep of what
 * the primary deletes: `"keep 10"`.
 */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import { parseKeepPruned } from '../../format/text/keep-pruned.js';
import { parseEvery } from '../../format/text/schedule.js';
import type { CommandFile } from '../control-file.js';

const ACTIONS = { now: 'sync', pause: 'pause', resume: 'resume' } as const;
const EXPECTED = 'now, pause, resume, "every INTERVAL", always, or "keep all|as-primary|N|RULES"';

export const syncFile: CommandFile = {
  kind: 'command',
  name: 'sync',
  expected: EXPECTED,
  example: 'echo now > sync',
  parse(line) {
    refuseUnknownOptions(line, []);
    const { name = '' } = line;
    const action = Object.entries(ACTIONS).find(([word]) => word === name)?.[1];
    if (action !== undefined) return { action };
    const [, kept] = /^keep\b(.*)$/i.exec(name) ?? [];
    if (kept !== undefined) {
      parseKeepPruned(kept);
      return { name: kept, action: 'keep' };
    }
    if (/^every\b/i.test(name)) parseEvery(name);
    else if (name !== 'always') {
      throw new CommandError('bad-command-line', 'EINVAL', `${EXPECTED} is expected`);
    }
    return { name, action: 'schedule' };
  },
};
