/** `prune`: `[keep="24 hourly 7 daily"] [names=NAME/NAME…] [match=WORD/WORD…] [dry=yes]`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import { parseKeepRules } from '../../format/text/keep-pruned.js';
import type { CommandFile } from '../control-file.js';
import { setIn } from './parse-set.js';

export const pruneFile: CommandFile = {
  kind: 'command',
  name: 'prune',
  expected:
    '[keep="24 hourly 7 daily"] [names=NAME/NAME…] [match=PATTERN/A..B…] [dry=yes]; ' +
    'an empty line prunes by the schedule',
  example: 'echo dry=yes > prune',
  parse(line) {
    refuseUnknownOptions(line, ['keep', 'names', 'match', 'dry']);
    if (line.name !== undefined) {
      throw new CommandError('bad-command-line', 'EINVAL', 'names= and match= choose snapshots');
    }
    const keep = line.options.get('keep');
    return { ...setIn(line), ...(keep !== undefined && { keep: parseKeepRules(keep) }) };
  },
};
