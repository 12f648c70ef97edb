/** `shadowfs options [NAME=VALUE …]` */
import type { Command } from 'commander';
import { parseVolumeOptions, VOLUME_OPTION_KEYS } from '../../format/text/volume-options.js';
import type { ShownOptions } from '../../volume/options.js';
import { OPTION_KEYS } from '../../daemon/mount/mount-options.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { printJson, printLine, wrongUsage } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { statusOf } from '../state.js';
import { printTable } from '../table.js';
import { findTarget } from '../target.js';

export function addOptions(program: Command): void {
  withTarget(
    program
      .command('options [changes...]')
      .usage('[NAME=VALUE…] [options]')
      .summary("show or change the volume's options")
      .description("show the volume's options, or change them: NAME=VALUE …"),
    `shadowfs options
     shadowfs options quota=20G keep-undo=30
     quota and keep-undo count at once; compression, snapshots-name and control-name from the next mount on; block-size is fixed.`,
  ).action(
    action(async (words: string[], options: CommonOptions) => {
      if (words.length === 0) await show(options);
      else await change(words, options);
    }),
  );
}

async function show(target: CommonOptions): Promise<void> {
  const status = await statusOf(target);
  const options = status['options'] as ShownOptions;
  const next = (status['optionsAtNextMount'] ?? null) as ShownOptions | null;
  if (target.json) {
    printJson({ ok: true, command: 'options', options, optionsAtNextMount: next });
    return;
  }
  const later = next === null ? undefined : new Map(rowsOf(next));
  const rows = rowsOf(options).map(([name, value]) => {
    const then = later?.get(name) ?? value;
    return [name, then === value ? value : `${value} (from the next mount on: ${then})`];
  });
  printTable(['NAME', 'VALUE'], rows);
}

/** Pure. */
function rowsOf(options: ShownOptions): [string, string][] {
  const { blockSizeBytes, compression, quotaBytes, keepUndoCount, snapshotsName, controlName } =
    options;
  return [
    ['block-size', formatBytes(blockSizeBytes)],
    ['compression', compression ? 'on' : 'off'],
    ['quota', quotaBytes === 0 ? 'none' : formatBytes(quotaBytes)],
    ['keep-undo', String(keepUndoCount)],
    ['snapshots-name', snapshotsName],
    ['control-name', controlName],
  ];
}

async function change(words: readonly string[], options: CommonOptions): Promise<void> {
  const pairs = words.map(pairOf);
  const changes = parseVolumeOptions(pairs);
  const target = await findTarget(options);
  let answer: Record<string, unknown>;
  if (target.kind === 'mounted') {
    answer = await target.control.run('options', undefined, Object.fromEntries(pairs));
  } else {
    const { setOptions } = await import('../../daemon/volumes/set-options.js');
    answer = { ok: true, command: 'options', ...setOptions(target.volume, changes) };
  }
  if (options.json) {
    printJson(answer);
    return;
  }
  const rows = new Map(rowsOf(answer['options'] as ShownOptions));
  const later = target.kind === 'mounted' ? (answer['changedAtNextMount'] as string[]) : [];
  for (const [name] of pairs) {
    const when = later.includes(name) ? ', from the next mount on' : '';
    printLine(`${name} is ${rows.get(name) ?? ''} now${when}`.replace(/ now,/, ','));
  }
}

function pairOf(word: string): [string, string] {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  if (!VOLUME_OPTION_KEYS.includes(name) && OPTION_KEYS.includes(name)) {
    throw wrongUsage(
      `${name} is an option of a mount, not of the volume: shadowfs mount -o ${word}`,
    );
  }
  if (equals >= 0) return [name, word.slice(equals + 1)];
  throw wrongUsage(`${word}: expected NAME=VALUE, such as quota=10G`);
}
