/** `shadowfs diff A [B]` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import type { DiffChange } from '../../daemon/commands/inspect.js';
import { inspect } from './check.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { printJson, printLine, warn } from '../output.js';
import { findTarget } from '../target.js';

const MAX_LINES = 1_000_000;
const SIGNS = { added: '+', removed: '-', changed: 'M', renamed: 'R' } as const;

export function addDiff(program: Command): void {
  withTarget(
    program
      .command('diff <a> [b]')
      .summary('list what has changed since a snapshot, or between two')
      .description(
        'list what was added (+), removed (-), changed (M) and renamed (R) between snapshot A ' +
          'and snapshot B, or the tree as it is now',
      ),
    'shadowfs diff before-upgrade',
  ).action(
    action(async (a: string, b: string | undefined, options: CommonOptions) => {
      const args = { name: a, limit: MAX_LINES, ...(b !== undefined && { to: b }) };
      const answer = await inspect(findTarget(options), { command: 'diff', args });
      if (options.json) {
        printJson(answer);
        return;
      }
      for (const change of (answer['changes'] ?? []) as DiffChange[]) {
        const sign = SIGNS[change.kind];
        const from = change.kind === 'renamed' ? `${shown(change.oldPath)} -> ` : '';
        const slash = change.type === 'directory' && change.path !== '' ? '/' : '';
        const details = change.details === undefined ? '' : ` (${change.details.join(', ')})`;
        printLine(`${sign} ${from}${shown(change.path)}${slash}${details}`);
      }
      if (answer['truncated'] === true) warn('there are more changes than are listed');
    }),
  );
}

function shown(path: string | undefined): string {
  return shownName(path === undefined || path === '' ? '.' : path);
}
