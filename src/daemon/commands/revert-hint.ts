/** For a person who takes the old word for "discard my changes". */
const HINT =
  '"revert" is the old word for "switchover": a standby changes places with its primary; ' +
  '"shadowfs restore SNAPSHOT" takes back changes of the tree, "shadowfs undo" the last restore';
/** There is nobody to change places with. */
const NO_SWITCHOVER = new Set(['no-peers', 'not-a-standby', 'nothing-to-follow']);

/** What to add to the message of a failure. Pure. */
export function revertHint(command: string, code: string): string {
  return command === 'revert' && NO_SWITCHOVER.has(code) ? `\n${HINT}` : '';
}
