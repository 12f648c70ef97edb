/**
 * Decides whether the serving thread and the program it serves share a
 * processor.
 *
 * A single program that sends a request, sleeps, and continues with the answer
 * never needs two processors at once. With two, each request and each answer
 * wakes the other processor, which in a virtual machine costs more than the
 * request itself; with one, the switch is almost free. So while only one
 * program sends requests without a pause, both ways are measured and the faster
 * one is kept. Nothing is assumed about the machine, so the measurement is
 * repeated.
 *
 * Pure except for its state and its arguments: `Stacking` moves the thread, and
 * `served` and `rested` bring in the time.
 *
 * Doors: placement, stacking.
 */
import { performance } from 'node:perf_hooks';

/** Requests measured together: a few milliseconds. */
export const WINDOW = 128;
/** Up to this many requests of other programs in a window are ignored. */
const STRANGERS_MAX = 2;
/** The cost of a way is the median of this many windows, since the windows differ. */
const SAMPLES = 15;
/** Windows before the first try. */
const WINDOWS_BEFORE_TRY = 2;
/** A failed try is repeated after this many windows, in case the program's work has changed. */
const WINDOWS_BEFORE_RETRY = 64;
/**
 * Sharing is given up when it takes this many times as long. More than 1,
 * because the scheduler often puts both on one processor for a while even
 * without sharing: then sharing costs nothing.
 */
const WORSE = 1.25;
/** A program that is silent for this long is doing something else. */
const PAUSE_MS = 5;

/** Moves the thread; see stacking.ts. */
export interface Stacking {
  /** Moves the calling thread to the processor of `pid` and keeps it there, if possible. */
  enter(pid: number): boolean;
  leave(): void;
  /** Call it for every request while sharing. */
  beat(): void;
}

/** The latest windows of one way. */
class Samples {
  readonly #ms: number[] = [];

  add(ms: number): void {
    this.#ms.push(ms);
    if (this.#ms.length > SAMPLES) this.#ms.shift();
  }

  /** Undefined while there are no samples. */
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
  /** Windows since the last change of the way. */
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

  /** A request of the thread `pid` was answered; 0: no program waits for the answer. */
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

  /** No request came for `gapMs`. */
  rested(gapMs: number): void {
    if (gapMs < PAUSE_MS) return;
    // A way that paid before is likely to pay again.
    if (this.#isSharing) this.#windowsBeforeTry = 1;
    this.#part();
    this.#startWindow(this.#nowMs());
  }

  /**
   * A request waits for a disk. Then both threads are idle and another program
   * takes the shared processor, while the second processor may be free.
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
    // The first window after a change also contains the cost of the change.
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

  /** Compares the latest costs of both ways. */
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
