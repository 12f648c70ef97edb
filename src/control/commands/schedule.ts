/** `schedule`: the schedule of saves in double quotes, or `off`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import { parseSchedule, SCHEDULE_EXAMPLE } from '../../format/text/schedule.js';
import type { CommandFile } from '../control-file.js';

export const scheduleFile: CommandFile = {
  kind: 'command',
  name: 'schedule',
  expected:
    '"every INTERVAL", "daily at TIME…" or "weekly on DAY… at TIME…", [", keep COUNT CLASS …"], or off',
  example: `echo '"${SCHEDULE_EXAMPLE}"' > schedule`,
  parse(line) {
    refuseUnknownOptions(line, []);
    const { name } = line;
    if (name === undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'the schedule is missing');
    }
    if (name !== 'off') parseSchedule(name);
    return { name };
  },
};
