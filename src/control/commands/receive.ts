/** `receive`: takes a stream of `shadowfs send`. */
import type { IntakeFile } from '../control-file.js';

export const receiveFile: IntakeFile = { kind: 'intake', name: 'receive' };
