/** `trace`: requests as they are answered. */
import type { StreamFile } from '../control-file.js';

export const traceFile: StreamFile = {
  kind: 'stream',
  name: 'trace',
  isPrivate: true,
  isWritable: true,
};
