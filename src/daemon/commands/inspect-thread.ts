/** Entry of an inspection thread: one request, its progress, one answer. */
import { parentPort } from 'node:worker_threads';
import { invariant } from '../../lib/invariant.js';
import { threadData } from '../../lib/threads.js';
import type { Answer } from '../../control/command.js';
import type { InspectRequest } from './commands.js';
import { type InspectTarget, inspectVolume } from './inspect.js';
import { type PlainError, toPlainError } from '../serve/messages.js';

export interface InspectData {
  place: InspectTarget;
  request: InspectRequest;
}

export type InspectMessage =
  | { kind: 'progress'; done: number; total: number }
  | { kind: 'done'; answer: Answer }
  | { kind: 'failed'; error: PlainError };

invariant(parentPort !== null, 'this file is the entry of a thread');
const port = parentPort;

function post(message: InspectMessage): void {
  port.postMessage(message);
}

const { place, request } = threadData() as InspectData;
try {
  const answer = inspectVolume(place, request, (done, total) =>
    post({ kind: 'progress', done, total }),
  );
  post({ kind: 'done', answer });
} catch (error) {
  post({ kind: 'failed', error: toPlainError(error) });
}
