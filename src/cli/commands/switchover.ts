/** `shadowfs switchover`, also as `revert` */
import type { Command } from 'commander';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { printJson, printLine } from '../output.js';
import { findMount } from '../target.js';

export function addSwitchover(program: Command): void {
  add(
    program.command('switchover').summary('on a standby: change places with its primary'),
    'on a standby: change places with its primary, which first sends what is missing and turns ' +
      'into a standby; nothing is lost',
  );
  add(
    program.command('revert', { hidden: true }),
    'the old word for switchover: a standby changes places with its primary (it takes back no ' +
      'changes of the tree: "shadowfs restore SNAPSHOT" and "shadowfs undo" do)',
  );
}

function add(command: Command, description: string): void {
  withMountpoint(command.description(description), 'shadowfs switchover ~/standby').action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const { control, mount } = await findMount(at(options, mountpoint));
      const answer = await control.run(command.name(), 'now', {});
      if (options.json) printJson(answer);
      else printLine(`${mount.mountpoint} is primary, epoch ${String(answer['epoch'])}`);
    }),
  );
}
