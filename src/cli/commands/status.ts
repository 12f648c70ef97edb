/** `shadowfs status` */
import type { Command } from 'commander';
import { ageText } from '../../lib/age.js';
import type { Answer } from '../../control/command.js';
import { foldedNote } from '../../format/text/note.js';
import { toJson } from '../../format/text/json-text.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { counted, formatTime, printable, printJson, printLine } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { statusOf } from '../state.js';

interface StatusOptions extends CommonOptions {
  all?: boolean;
}

export function addStatus(program: Command): void {
  withMountpoint(
    program
      .command('status')
      .summary('what this mount is, what has changed, what is wrong')
      .description(
        'say what this mount is, which snapshot its tree comes from, whether it has changed ' +
          'since, when the next scheduled save is, and what is wrong',
      ),
    'shadowfs status ~/project',
  )
    .option('-a, --all', 'everything that is known (--json has it, too)')
    .action(
      action(async (mountpoint: string | undefined, options: StatusOptions) => {
        const status = await statusOf(at(options, mountpoint));
        if (options.json) printJson(status);
        else {
          const lines = options.all === true ? allLines(status, '') : shortLines(status);
          for (const line of lines) printLine(line);
        }
      }),
    );
}

/** What people ask, one line for each question. Pure. */
function shortLines(status: Answer): string[] {
  const problems = (status['problems'] ?? []) as { severity: string; message: string }[];
  return [
    `mount:     ${mountText(status)}`,
    `based on:  ${basedOnText(status)}`,
    `changed:   ${changedText(status)}`,
    `schedule:  ${scheduleText((status['schedule'] ?? null) as Answer | null)}`,
    `space:     ${spaceText(status)}`,
    problems.length === 0 ? 'problems:  none' : `problems:  ${problems.length}`,
    ...problems.map(({ severity, message }) => `  ${severity}: ${printable(message)}`),
  ];
}

/** `/home/me/project, in place, volume /var/…, standby of vm`. Pure. */
function mountText(status: Answer): string {
  const { mountpoint, base, volumePath, readOnly, role, branch } = status;
  const upstream = (status['lag'] as Answer | undefined)?.['upstream'] ?? null;
  const parts: string[] = [];
  if (mountpoint === null) parts.push('not mounted');
  else {
    parts.push(printable(String(mountpoint)));
    if (status['frozenMs'] !== null) parts.push('frozen: no base is needed');
    else if (base === null) parts.push('over nothing');
    else parts.push(base === mountpoint ? 'in place' : `over ${printable(String(base))}`);
  }
  parts.push(`volume ${printable(String(volumePath))}`);
  if (branch !== 'main') parts.push(`branch ${printable(String(branch))}`);
  if (readOnly === true) parts.push('read-only');
  if (role === 'standby') {
    parts.push(upstream === null ? 'a standby' : `standby of ${printable(String(upstream))}`);
  } else if (role === 'primary') parts.push('primary');
  return parts.join(', ');
}

/** Pure. */
function basedOnText(status: Answer): string {
  const saved = counted(Number(status['snapshotCount']), 'snapshot');
  const basedOn = (status['basedOn'] ?? null) as Answer | null;
  if (basedOn === null) {
    const hasBase = status['base'] !== null || status['frozenMs'] !== null;
    const origin = hasBase ? 'the base directory' : 'nothing';
    return `${origin}: no snapshot that the tree comes from is there (${saved})`;
  }
  const { name, createdMs, note } = basedOn;
  const when = `${formatTime(Number(createdMs))}, ${ageText(Date.now() - Number(createdMs))}`;
  const noted = note === undefined ? '' : `: ${printable(foldedNote(String(note)))}`;
  return `${printable(String(name))} (${when}; ${saved})${noted}`;
}

/** Pure. */
function changedText(status: Answer): string {
  if (status['isChanged'] !== true) return 'no';
  const { changedFileCount, changedBytes, isAtLeast, basedOn } = status;
  const files = counted(Number(changedFileCount), 'file or directory', 'files and directories');
  const bytes = Number(changedBytes) > 0 ? `, ${formatBytes(Number(changedBytes))} of data` : '';
  const name = (basedOn as Answer | null)?.['name'];
  const hint = typeof name === 'string' ? ` (shadowfs diff ${printable(name)} lists them)` : '';
  return `yes, ${isAtLeast === true ? 'at least ' : ''}${files}${bytes}${hint}`;
}

/** Pure. */
function spaceText(status: Answer): string {
  const [used, ahead, free] = ['usedBytes', 'aheadBytes', 'freeBytes'].map((name) =>
    formatBytes(Number(status[name])),
  );
  const quota = Number(status['quotaBytes']);
  const limit = quota > 0 ? ` of a quota of ${formatBytes(quota)}` : '';
  return `${used} used${limit}, ${ahead} more allocated ahead, room for ${free}`;
}

/** Pure. */
function scheduleText(schedule: Answer | null): string {
  if (schedule === null) return 'none';
  const { text, nextDueMs } = schedule;
  const next =
    typeof nextDueMs === 'number' ? `; next ${formatTime(nextDueMs)}` : '; runs while mounted';
  return printable(String(text)) + next;
}

/** `key: value`, nested objects indented. Pure. */
function allLines(value: Record<string, unknown>, indent: string): string[] {
  return Object.entries(value).flatMap(([key, item]) => {
    if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
      return [`${indent}${key}:`, ...allLines(item as Record<string, unknown>, `${indent}  `)];
    }
    const text = typeof item === 'string' ? item : toJson(item);
    return [`${indent}${key}: ${printable(text ?? '-')}`];
  });
}
