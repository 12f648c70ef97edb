/**
 * Who gave a command, as the history and snapshots store it: `cli`, `control`,
 * `mkdir`, `signal`, `schedule`, `receive`, or a peer by its name here. Pure.
 */

/** Earlier versions did not say which. */
const SOME_PEER = 'peer';
const PEER_PREFIX = 'peer:';

/** `name`: the peer's; undefined: it is not known which. */
export function peerSource(name: string | undefined): string {
  return name === undefined ? SOME_PEER : PEER_PREFIX + name;
}

/** A peer has caused it; of a snapshot: it came from there. */
export function isPeerSource(source: string): boolean {
  return source === SOME_PEER || source.startsWith(PEER_PREFIX);
}

/** For people: `peer nas`. */
export function sourceText(source: string): string {
  return source.startsWith(PEER_PREFIX) ? `peer ${source.slice(PEER_PREFIX.length)}` : source;
}
