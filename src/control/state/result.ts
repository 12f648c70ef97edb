/** `result`: the last command's answer, one JSON object on one line; empty before the first. */
import { jsonLine } from '../../format/text/grammar.js';
import type { StateFile } from '../control-file.js';

export const resultFile: StateFile = {
  kind: 'state',
  name: 'result',
  content: (state) => {
    const answer = state.result();
    return answer === undefined ? '' : jsonLine(answer);
  },
};
