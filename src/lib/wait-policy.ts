/**
 * Who waits for a disk: one answer for all that read on behalf of a thread
 * (base files, stored blocks) and for the session that dispatches them.
 *
 * | mode | a near disk | a far one |
 * |---|---|---|
 * | `wait` | is waited for | is waited for |
 * | `yield` | is waited for, unless others wait to be served | is not waited for |
 *
 * A disk is near when it is known to answer soon: waking another thread twice
 * takes longer. The volume's own disk counts as near. What is not waited for is
 * thrown, as one of the `WouldWait` errors; the operation is dispatched again
 * when the bytes are there, or in the mode `wait`.
 */
export class WaitPolicy {
  /** `wait` for tools, for other threads and for what has waited for its turn; a serving loop yields. */
  mode: 'wait' | 'yield';
  /** Whether others wait for this thread. Asked right before it would wait for a near disk. */
  othersWait: () => boolean = () => false;

  constructor(mode: 'wait' | 'yield' = 'wait') {
    this.mode = mode;
  }

  /** May this thread wait for such a disk now? */
  allows(disk: 'near' | 'far'): boolean {
    return this.mode === 'wait' || (disk === 'near' && !this.othersWait());
  }

  /** Runs `body` in the mode `wait`. */
  patiently(body: () => void): void {
    const before = this.mode;
    this.mode = 'wait';
    try {
      body();
    } finally {
      this.mode = before;
    }
  }
}

/** For a change that reads stored blocks: it may not be put off behind later ones. */
export const WAITS: Pick<WaitPolicy, 'allows'> = { allows: () => true };
