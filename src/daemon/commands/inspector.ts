/** Runs `check`, `diff` and `versions` of a mounted volume, each in a thread of its own. */
import { constants, openSync } from 'node:fs';
import { INSPECT_LIMITS } from '../../lib/thread-limits.js';
import { startThread } from '../../lib/threads.js';
import type { InspectRequest } from './commands.js';
import { log } from '../serve/log.js';
import type { InspectTarget } from './inspect.js';
import type { InspectData, InspectMessage } from './inspect-thread.js';
import { type ToServer, toPlainError } from '../serve/messages.js';
import type { MountPlan } from '../mount/mount-plan.js';

export class Inspector {
  readonly #plan: MountPlan;
  readonly #baseFd: number | undefined;
  readonly #post: (message: ToServer) => void;

  /** Before anything is mounted. */
  constructor(plan: MountPlan, post: (message: ToServer) => void) {
    this.#plan = plan;
    const { base } = plan;
    if (base !== undefined)
      this.#baseFd = openSync(base, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#post = post;
  }

  start(id: number, request: InspectRequest): void {
    const { volume, base } = this.#plan;
    const place: InspectTarget = { volume };
    // By descriptor: a mount in place covers the base's path.
    if (base !== undefined && this.#baseFd !== undefined) {
      place.base = { path: base, openPath: `/proc/self/fd/${this.#baseFd}` };
    }
    const data: InspectData = { place, request };
    const worker = startThread(new URL('./inspect-thread.js', import.meta.url), {
      data,
      resourceLimits: INSPECT_LIMITS,
    });
    let isAnswered = false;
    const answer = (message: ToServer): void => {
      if (!isAnswered) this.#post(message);
      isAnswered = true;
    };
    worker.on('message', (message: InspectMessage) => {
      if (message.kind === 'progress') {
        this.#post({ kind: 'inspect-progress', done: message.done, total: message.total });
      } else if (message.kind === 'done') {
        answer({ kind: 'inspected', id, answer: message.answer });
      } else {
        answer({ kind: 'inspected', id, error: message.error });
      }
    });
    worker.once('error', (error) => {
      log(`the thread of ${request.command} failed: ${error.stack ?? error.message}`);
      answer({ kind: 'inspected', id, error: toPlainError(error) });
    });
    worker.once('exit', () => {
      const error = new Error(`${request.command} ended without an answer`);
      answer({ kind: 'inspected', id, error: toPlainError(error) });
    });
  }
}
