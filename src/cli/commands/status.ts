/** `shadowfs status` */
import type { Command } from 'commander';
import { toJson } from '../../format/text/json-text.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { printable, printJson, printLine } from '../output.js';
import { statusOf } from '../state.js';

export function addStatus(program: Command): void {
  withMountpoint(
    program.command('status').description('show the mount and its volume'),
    'shadowfs status ~/project',
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const status = await statusOf(at(options, mountpoint));
      if (options.json) printJson(status);
      else for (const line of statusLines(status, '')) printLine(line);
    }),
  );
}

/** `key: value`, nested objects indented. Pure. */
function statusLines(value: Record<string, unknown>, indent: string): string[] {
  return Object.entries(value).flatMap(([key, item]) => {
    if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
      return [`${indent}${key}:`, ...statusLines(item as Record<string, unknown>, `${indent}  `)];
    }
    const text = typeof item === 'string' ? item : toJson(item);
    return [`${indent}${key}: ${printable(text ?? '-')}`];
  });
}
