/** `shadowfs prune` */
import type { Command } from 'commander';
import type { Answer } from '../../control/command.js';
import { confirmDeletion } from '../ask-line.js';
import { parseKeepRules } from '../../format/text/keep-pruned.js';
import type { ControlClient } from '../control-client.js';
import { freedBytes, freedText } from '../freed-bytes.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { counted, formatTime, printable, printJson, printLine } from '../output.js';
import { printTable } from '../table.js';
import { findMount } from '../target.js';

interface PruneOptions extends CommonOptions {
  keep?: string;
  dryRun?: boolean;
  yes?: boolean;
}

interface Rule {
  rule: string;
  period?: string;
}

interface Kept {
  name: string;
  createdMs: number;
  rules: Rule[];
}

export function addPrune(program: Command): void {
  withTarget(
    program
      .command('prune [name...]')
      .summary('delete the snapshots that no rule keeps')
      .description(
        'delete the snapshots that no rule keeps: by default those that the schedule has made, by ' +
          "the schedule's rules; or those that names, patterns (quoted) and ranges A..B choose, by " +
          '--keep',
      ),
    `shadowfs prune -n
    shadowfs prune -n --keep "24 hourly 7 daily"
    shadowfs prune --keep 10 'backup-*'
    The newest always stays, and so does what is locked. On a terminal, several are deleted after
    a yes.`,
  )
    .option('--keep <rules>', 'how many of the newest, or rules as in a schedule', keepRules)
    .option('-n, --dry-run', 'only say which would be deleted, and why each other one is kept')
    .option('-y, --yes', 'do not ask')
    .action(
      action(async (words: string[], options: PruneOptions) => {
        const { control } = await findMount(options);
        if (options.dryRun === true) {
          const plan = await run(control, words, options, true);
          const freed = await freedBytes(control, plan['deleted'] as string[]);
          if (options.json)
            printJson({ ...plan, ...(freed !== undefined && { freedBytes: freed }) });
          else showPlan(plan, freed);
          return;
        }
        if (options.yes !== true && options.json !== true) await ask(control, words, options);
        const answer = await run(control, words, options, false);
        if (options.json) printJson(answer);
        else tell(answer);
      }),
    );
}

/** Says what is expected before a mount is looked for. */
function keepRules(text: string): string {
  parseKeepRules(text);
  return text;
}

async function run(
  control: ControlClient,
  words: readonly string[],
  { keep }: PruneOptions,
  isDry: boolean,
): Promise<Answer> {
  return await control.run('prune', undefined, {
    ...(keep !== undefined && { keep }),
    ...(words.length > 0 && { match: words.join('/') }),
    ...(isDry && { dry: 'yes' }),
  });
}

/** Throws CommandError `not-confirmed`. */
async function ask(
  control: ControlClient,
  words: readonly string[],
  options: PruneOptions,
): Promise<void> {
  const { deleted, keeps } = await run(control, words, options, true);
  const count = (deleted as string[]).length;
  if (count < 2) return;
  await confirmDeletion(`delete ${count} snapshots and keep ${String(keeps)}? (-n lists them)`);
}

/** Every snapshot it is about, oldest first. */
function showPlan(plan: Answer, freed: number | undefined): void {
  const deleted = plan['deleted'] as string[];
  const kept = plan['kept'] as Kept[];
  for (const name of deleted) printLine(`would delete ${printable(name)}`);
  if (kept.length > 0) {
    printTable(
      ['KEPT', 'CREATED', 'WHY'],
      kept.map(({ name, createdMs, rules }) => [
        printable(name),
        formatTime(createdMs),
        rules.map(ruleText).join('; '),
      ]),
    );
  }
  printLine(
    `${counted(deleted.length, 'snapshot')} would be deleted, ${kept.length} kept by ` +
      `"keep ${String(plan['keeps'])}"${freedText(freed)}`,
  );
}

/** Pure. */
function ruleText({ rule, period }: Rule): string {
  switch (rule) {
    case 'newest':
      return 'the newest of all';
    case 'later':
      return 'dated later than now';
    case 'locked':
      return 'locked (shadowfs locks says by whom)';
    case 'all':
      return 'one of the newest';
    default:
      return `newest of ${period ?? ''}, ${rule}`;
  }
}

function tell(answer: Answer): void {
  const deleted = answer['deleted'] as string[];
  const kept = answer['kept'] as Kept[];
  const locked = kept.filter(({ rules }) => rules.some(({ rule }) => rule === 'locked'));
  printLine(`deleted ${counted(deleted.length, 'snapshot')}, kept ${kept.length}`);
  for (const { name } of locked) printLine(`kept because it is locked: ${printable(name)}`);
}
