/** Runs `check`, `diff`, `space` and `versions` of a mounted volume, each in a thread of its own. */
import { constants, openSync } from 'node:fs';
import { fsPath } from '../../lib/byte-text.js';
import { INSPECT_LIMITS } from '../../lib/thread-limits.js';
import { startThread } from '../../lib/threads.js';
import type { Answer } from '../../control/command.js';
import { ThreadCalls } from '../calls/thread-calls.js';
import type { InspectRequest } from './command-parts.js';
import { log } from '../serve/log.js';
import type { InspectTarget } from './inspect.js';
import type { FromInspection, Progress, ToInspection } from './inspect-thread.js';
import type { MountPlan } from '../mount/mount-plan.js';

export class Inspector {
  readonly #plan: MountPlan;
  readonly #baseFd: number | undefined;
  readonly #onProgress: (progress: Progress) => void;

  /** Call before anything is mounted. */
  constructor(plan: MountPlan, onProgress: (progress: Progress) => void) {
    this.#plan = plan;
    const { base } = plan;
    if (base !== undefined)
      this.#baseFd = openSync(fsPath(base), constants.O_RDONLY | constants.O_DIRECTORY);
    this.#onProgress = onProgress;
  }

  /** Rejects with a CommandError, or with the thread's failure. */
  run(request: InspectRequest): Promise<Answer> {
    const { volume, base } = this.#plan;
    const target: InspectTarget = { volume };
    // By descriptor: a mount in place covers the base's path.
    if (base !== undefined && this.#baseFd !== undefined) {
      target.base = { path: base, openPath: `/proc/self/fd/${this.#baseFd}` };
    }
    const worker = startThread(new URL('./inspect-thread.js', import.meta.url), {
      data: undefined,
      isUncut: true,
      resourceLimits: INSPECT_LIMITS,
    });
    const calls = new ThreadCalls<ToInspection, FromInspection>({
      post: (message) => worker.postMessage(message),
      handlers: { progress: this.#onProgress },
    });
    worker.on('message', (message) => calls.receive(message));
    worker.once('error', (error) => {
      log(`the thread of ${request.command} failed: ${error.stack ?? error.message}`);
      calls.lost(error);
    });
    worker.once('exit', () => {
      calls.lost(new Error(`${request.command} ended without an answer`));
    });
    return calls.promise('inspect', { target, request });
  }
}
