/** Entry of an inspection thread: one request, its progress, one answer. */
import { parentPort } from 'node:worker_threads';
import { invariant } from '../../lib/invariant.js';
import { workNow } from '../../lib/work.js';
import { withListTexts } from '../../format/text/list-text.js';
import { threadData } from '../../lib/threads.js';
import type { Answer } from '../../control/command.js';
import { ThreadCalls } from '../calls/thread-calls.js';
import type { InspectRequest } from './command-parts.js';
import { type InspectTarget, inspectVolume } from './inspect.js';

export interface ToInspection {
  inspect: { args: { target: InspectTarget; request: InspectRequest }; answer: Answer };
}

export interface FromInspection {
  progress: { args: Progress };
}

export interface Progress {
  done: number;
  total: number;
}

invariant(parentPort !== null, 'this file is the entry of a thread');
const port = parentPort;

const calls = new ThreadCalls<FromInspection, ToInspection>({
  post: (message) => port.postMessage(message),
  handlers: {
    inspect: ({ target, request }) =>
      workNow(
        withListTexts(
          inspectVolume(target, request, (done, total) => calls.tell('progress', { done, total })),
        ),
      ),
  },
});

// Tells the starter that this thread runs.
threadData();
port.once('message', (message) => calls.receive(message));
