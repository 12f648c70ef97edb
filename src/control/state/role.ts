/** `role`: what this volume is among those of its history, as one JSON line. */
import { jsonLine } from '../../format/text/grammar.js';
import type { StateFile } from '../control-file.js';

export const roleFile: StateFile = {
  kind: 'state',
  name: 'role',
  content: (state) => jsonLine({ ...state.role() }),
};
