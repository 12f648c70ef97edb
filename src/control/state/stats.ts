/**
 * `stats`: what the mount did and how long it took, one JSON object, indented.
 * Written with the line `reset`, it counts from nothing again.
 */
import { FsError } from '../../lib/errors.js';
import type { StateFile } from '../control-file.js';

export const statsFile: StateFile = {
  kind: 'state',
  name: 'stats',
  content: (state) => `${JSON.stringify(state.stats(), undefined, 2)}\n`,
  written: (state, text) => {
    if (text.trim() !== 'reset') throw new FsError('EINVAL', 'write', 'stats');
    state.resetStats();
  },
};
