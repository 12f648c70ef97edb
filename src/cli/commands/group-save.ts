/** `shadowfs group-save` */
import type { Command } from 'commander';
import { action, type CommonOptions, withTarget } from '../options.js';
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
    'shadowfs group-save before-upgrade mail web',
  ).action(
    action(async (name: string, peers: string[], options: CommonOptions) => {
      const { control, mount } = findMount(options);
      const answer = await control.run('group-save', name, { peers: peers.join(',') });
      if (options.json) {
        printJson(answer);
        return;
      }
      const parkedMs = Math.round(Number(answer['parkedMs'] ?? 0));
      printLine(
        `saved ${printable(name)} of ${mount.mountpoint} and of ${printable(peers.join(', '))}; ` +
          `changes waited ${parkedMs} ms here`,
      );
    }),
  );
}
