/**
 * Whether the serving thread and the program that it serves share a processor.
 *
 * One program that sends a request, sleeps, and goes on with the answer never
 * needs two processors at once. On two of them each request and each answer
 * wakes the other one, which in a virtual machine costs more than the request
 * itself; on one, the switch is almost free. So while one program alone sends
 * requests without a pause, both ways are measured and the faster one is kept.
 * Nothing is assumed about the machine but that it has to be tried again.
 *
 * Pure apart from its state and what it is given: what moves the thread is
 * `Stacking`, and time comes in by `served` and `rested`.
 */
import { performance } from 'node:perf_hooks';

/** Requests that are measured together: some milliseconds. */
export const WINDOW = 128;
/** Requests of others in a window that do not matter. */
const STRANGERS_MAX = 2;
/** So many windows tell what a way costs: the median of them, since what they hold differs. */
const SAMPLES = 15;
/** Windows before the first try. */
const WINDOWS_BEFORE_TRY = 2;
/** A try that did not pay is repeated after so many, in case the program does something else now. */
const WINDOWS_BEFORE_RETRY = 64;
/**
 * Sharing is given up when it takes this many times as long. More than 1, since apart the
 * scheduler often puts both on one processor too, for a while: then nothing is lost by sharing.
 */
const WORSE = 1.25;
/** A program that is silent for so long is doing something else. */
const PAUSE_MS = 5;

/** Moves the thread; see stacking.ts. */
export interface Stacking {
  /** The calling thread goes to where `pid` runs and stays there, if it can. */
  enter(pid: number): boolean;
  leave(): void;
  /** Told of every request while sharing. */
  beat(): void;
}

/** The latest windows that went one way. */
class Samples {
  readonly #ms: number[] = [];

  add(ms: number): void {
    this.#ms.push(ms);
    if (this.#ms.length > SAMPLES) this.#ms.shift();
  }

  /** Undefined while there are none. */
  get medianMs(): number | undefined {
    return this.#ms.toSorted((a, b) => a - b)[this.#ms.length >> 1];
  }
}

export class Placement {
  readonly #stacking: Stacking;
  readonly #nowMs: () => number;
  #isSharing = false;
  #pid = 0;
  #count = 0;
  #strangers = 0;
  #startMs: number;
  /** Windows since the last change from one way to the other. */
  #windows = 0;
  #windowsBeforeTry = WINDOWS_BEFORE_TRY;
  readonly #apart = new Samples();
  readonly #sharing = new Samples();

  constructor(stacking: Stacking, nowMs: () => number = () => performance.now()) {
    this.#stacking = stacking;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
  }

  get isSharing(): boolean {
    return this.#isSharing;
  }

  /** A request of the thread `pid` was answered; 0: one that no program waits for. */
  served(pid: number): void {
    if (pid !== this.#pid && pid !== 0) {
      this.#pid = pid;
      this.#strangers++;
    }
    if (this.#isSharing) this.#stacking.beat();
    this.#count++;
    if (this.#count < WINDOW) return;
    const nowMs = this.#nowMs();
    if (this.#strangers > STRANGERS_MAX) this.#part();
    else this.#closeWindow(nowMs - this.#startMs);
    this.#startWindow(nowMs);
  }

  /** Nothing came for `gapMs`. */
  rested(gapMs: number): void {
    if (gapMs < PAUSE_MS) return;
    // What paid before is likely to pay again.
    if (this.#isSharing) this.#windowsBeforeTry = 1;
    this.#part();
    this.#startWindow(this.#nowMs());
  }

  /**
   * A request waits for a disk: then both are idle, and whoever else is at work
   * takes the shared processor, while the other one may be free.
   */
  waited(): void {
    this.#part();
    this.#startWindow(this.#nowMs());
  }

  #startWindow(nowMs: number): void {
    this.#startMs = nowMs;
    this.#count = 0;
    this.#strangers = 0;
  }

  #closeWindow(tookMs: number): void {
    this.#windows++;
    // The first window after a change pays for the change.
    if (this.#windows > 1) (this.#isSharing ? this.#sharing : this.#apart).add(tookMs);
    if (!this.#isSharing) {
      if (this.#windows >= this.#windowsBeforeTry) this.#share();
    } else if (this.#windows > SAMPLES && this.#isWorse()) {
      this.#windowsBeforeTry = WINDOWS_BEFORE_RETRY;
      this.#part();
    } else {
      // The scheduler may have moved the program.
      this.#stacking.enter(this.#pid);
    }
  }

  /** From what both ways cost lately. */
  #isWorse(): boolean {
    const { medianMs } = this.#apart;
    return medianMs !== undefined && (this.#sharing.medianMs ?? 0) > medianMs * WORSE;
  }

  #share(): void {
    this.#windows = 0;
    this.#windowsBeforeTry = WINDOWS_BEFORE_TRY;
    this.#isSharing = this.#stacking.enter(this.#pid);
  }

  #part(): void {
    this.#windows = 0;
    if (!this.#isSharing) return;
    this.#isSharing = false;
    this.#stacking.leave();
  }
}
