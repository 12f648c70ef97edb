/** `status`: one JSON object, indented, since people read it too. */
import type { StateFile } from '../control-file.js';

export const statusFile: StateFile = {
  kind: 'state',
  name: 'status',
  content: (state) => `${JSON.stringify(state.status(), undefined, 2)}\n`,
};
