/** `events`: what commands did, as it happens. */
import type { StreamFile } from '../control-file.js';

export const eventsFile: StreamFile = {
  kind: 'stream',
  name: 'events',
  isPrivate: false,
  isWritable: false,
};
