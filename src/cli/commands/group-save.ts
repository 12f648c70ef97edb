/** `shadowfs group-save` */
import type { Command } from 'commander';
import {
  action,
  type CommonOptions,
  noteOption,
  type NoteOptions,
  noteWords,
  withTarget,
} from '../options.js';
import { printJson, printLine, printable } from '../output.js';
import { findMount } from '../target.js';

export function addGroupSave(program: Command): void {
  withTarget(
    program
      .command('group-save <name> <peer...>')
      .summary('save this mount and those of peers at one point in time')
      .description(
        'save this mount and those of peers under one name, at one point in time, or none of them',
      ),
    'shadowfs group-save before-upgrade mail web -m "all three are quiet"',
  )
    .addOption(noteOption())
    .action(
      action(async (name: string, peers: string[], options: CommonOptions & NoteOptions) => {
        const { control, mount } = await findMount(options);
        const answer = await control.run('group-save', name, {
          peers: peers.join(','),
          ...noteWords(options),
        });
        if (options.json) {
          printJson(answer);
          return;
        }
        const { parkedMs = 0 } = (answer['timings'] ?? {}) as { parkedMs?: number };
        printLine(
          `saved ${printable(name)} of ${mount.mountpoint} and of ${printable(peers.join(', '))}; ` +
            `changes waited ${Math.round(parkedMs)} ms here`,
        );
      }),
    );
}
