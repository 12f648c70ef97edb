/** What a mistyped command may have been meant to be, also by people of zfs, btrfs and git. */
import type { Command } from 'commander';
import { nearMatches, shorten } from '../format/text/grammar.js';
import { printable } from './output.js';

/** What other systems call it. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  backup: 'save',
  checkout: 'restore',
  commit: 'save',
  create: 'save',
  destroy: 'delete',
  fsck: 'check',
  hold: 'lock',
  holds: 'locks',
  ls: 'snapshots',
  pull: 'sync now',
  recv: 'receive',
  release: 'unlock',
  remove: 'delete',
  reset: 'restore',
  rm: 'delete',
  rollback: 'restore',
  scrub: 'check',
  snapshot: 'save',
  switch: 'restore',
  tag: 'save',
  unmount: 'umount',
};

/** Words to offer instead; the nearest first. Pure. */
export function nearCommands(word: string, commands: readonly string[]): string[] {
  const wanted = word.toLowerCase();
  const translated = Object.hasOwn(ELSEWHERE, wanted) ? ELSEWHERE[wanted] : undefined;
  const [command = ''] = translated?.split(' ') ?? [];
  const near = nearMatches(word, commands).slice(0, 3);
  if (translated === undefined || !commands.includes(command)) return near;
  return [translated, ...near.filter((name) => name !== command)];
}

/** A command with commands below it ends with exit code 2 when there is none of that name. */
export function refuseUnknownCommands(parent: Command): void {
  if (parent.commands.length === 0) return;
  parent.on('command:*', ([word = '']: string[]) => refuseUnknown(parent, word));
}

/** Throws when the command has none of that name below it. */
export function refuseUnknown(parent: Command, word: string): void {
  const names = parent.commands.flatMap((command) => [command.name(), ...command.aliases()]);
  if (names.includes(word)) return;
  const near = nearCommands(word, names);
  const hint = near.length === 0 ? '' : `\n(did you mean ${near.join(', or ')}?)`;
  parent.error(`error: unknown command '${printable(shorten(word))}'${hint}`, {
    code: 'commander.unknownCommand',
  });
}
