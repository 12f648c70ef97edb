/** Waiting without an event loop. */

const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread. */
export function sleepSync(durationMs: number): void {
  Atomics.wait(NEVER, 0, 0, durationMs);
}
