/** `snapshots`, `history`, `layers`, `locks` and `peers`: JSON lines, one item each. */
import { jsonLine } from '../../format/text/grammar.js';
import type { StateFile } from '../control-file.js';

/** The newest so many records; what is older stays readable by `shadowfs history --all`. */
export const HISTORY_LIMIT = 10_000;
/** As for the history: a file that is made at `open` must have a bound. */
export const LAYER_LIMIT = 10_000;

function jsonLines(items: Iterable<object>): string {
  const lines: string[] = [];
  for (const item of items) lines.push(jsonLine(item));
  return lines.join('');
}

export const snapshotsFile: StateFile = {
  kind: 'state',
  name: 'snapshots',
  content: (state) => jsonLines(state.snapshots()),
};

export const historyFile: StateFile = {
  kind: 'state',
  name: 'history',
  content: (state) => jsonLines(state.history(HISTORY_LIMIT)),
};

export const locksFile: StateFile = {
  kind: 'state',
  name: 'locks',
  content: (state) => jsonLines(state.locks()),
};

export const layersFile: StateFile = {
  kind: 'state',
  name: 'layers',
  content: (state) => jsonLines(state.layers(LAYER_LIMIT)),
};

export const peersFile: StateFile = {
  kind: 'state',
  name: 'peers',
  content: (state) => jsonLines(state.peers()),
};
