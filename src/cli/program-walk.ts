/** Ways through the definitions of commands. Pure. */
import type { Command } from 'commander';

/** The command and those below it, outermost first. */
export function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)];
}

/** `shadowfs peer list`. */
export function fullName(command: Command): string {
  const above = command.parent === null ? '' : `${fullName(command.parent)} `;
  return above + command.name();
}
