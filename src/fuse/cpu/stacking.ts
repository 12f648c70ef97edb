/**
 * Keeps the serving thread on the processor of the program it serves, and keeps
 * the kernel's scheduler from separating the two again.
 *
 * The scheduler moves a thread that it wakes to an idle processor. So a thread
 * of the idle class, which gives way to any other thread at once
 * (occupier-thread.ts), keeps the other processor from looking idle; it goes to
 * sleep when no requests come. Works only with two processors: with more,
 * another one would be idle.
 */
import { startThread } from '../../lib/threads.js';
import { STAT_FIELD, statFields } from '../../libc/process-stat.js';
import { allowedCpus, currentCpu, useCpus } from '../../libc/scheduling.js';
import { BEAT, CPU, OCCUPY, STATE, WORDS } from './occupier-words.js';
import type { Stacking } from './placement.js';

/** The processor on which the thread `pid` last ran; undefined when it is not visible. */
function cpuOf(pid: number): number | undefined {
  const cpu = Number(statFields(pid)?.[STAT_FIELD.processor]);
  return Number.isInteger(cpu) ? cpu : undefined;
}

class TwoProcessors implements Stacking {
  readonly #cpus: readonly number[];
  readonly #words = new Int32Array(new SharedArrayBuffer(WORDS * 4));
  #hasOccupier = false;
  /** Where the calling thread is kept; -1: nowhere. */
  #cpu = -1;

  constructor(cpus: readonly number[]) {
    this.#cpus = cpus;
  }

  enter(pid: number): boolean {
    const cpu = cpuOf(pid) ?? currentCpu();
    if (cpu === this.#cpu) return true;
    const other = this.#cpus.find((each) => each !== cpu);
    if (other === undefined || !this.#cpus.includes(cpu) || useCpus([cpu]) < 0) return false;
    this.#cpu = cpu;
    if (!this.#hasOccupier) this.#start();
    Atomics.store(this.#words, CPU, other);
    this.#occupy();
    return true;
  }

  #occupy(): void {
    Atomics.store(this.#words, STATE, OCCUPY);
    Atomics.notify(this.#words, STATE);
  }

  leave(): void {
    this.#cpu = -1;
    Atomics.store(this.#words, STATE, 0);
    useCpus(this.#cpus);
  }

  beat(): void {
    // There is one writer, and the reader only needs to see a change.
    this.#words[BEAT] = ((this.#words[BEAT] ?? 0) + 1) | 0;
    // The occupier went to sleep during a short pause.
    if (this.#words[STATE] !== OCCUPY) this.#occupy();
  }

  #start(): void {
    this.#hasOccupier = true;
    startThread(new URL('./occupier-thread.js', import.meta.url), {
      data: this.#words,
      resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 },
    }).unref();
  }
}

/** For the calling thread; undefined unless there are exactly two processors. */
export function stackingHere(): Stacking | undefined {
  const cpus = allowedCpus();
  return cpus.length === 2 ? new TwoProcessors(cpus) : undefined;
}
