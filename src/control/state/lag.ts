/** `lag`: how the sync stands, as one JSON line. */
import { jsonLine } from '../../format/text/grammar.js';
import type { StateFile } from '../control-file.js';

export const lagFile: StateFile = {
  kind: 'state',
  name: 'lag',
  content: (state) => jsonLine(state.lag()),
};
