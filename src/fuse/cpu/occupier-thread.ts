/**
 * Entry of the thread that keeps a processor from looking idle while requests
 * come. It runs in the idle class: any other thread takes the processor from it
 * at once. It sleeps when told to, and when no request came for a while.
 */
import { performance } from 'node:perf_hooks';
import { threadData } from '../../lib/threads.js';
import { useCpus, yieldToAll } from '../../libc/scheduling.js';
import { BEAT, CPU, OCCUPY, STATE } from './occupier-words.js';

/** Without a request for this long it goes to sleep by itself. */
const SILENCE_MS = 3;
/** Number of looks at the shared words between two looks at the clock. */
const LOOKS = 2_000;

const words = threadData() as Int32Array;

/** Keeps the processor `cpu` busy until it is told to sleep, or no request came for a while. */
function occupy(cpu: number): void {
  let beat = Atomics.load(words, BEAT);
  let changedMs = performance.now();
  while (Atomics.load(words, STATE) === OCCUPY) {
    for (let i = 0; i < LOOKS; i++) if (Atomics.load(words, STATE) !== OCCUPY) return;
    if (Atomics.load(words, CPU) !== cpu) return;
    const nowBeat = Atomics.load(words, BEAT);
    const nowMs = performance.now();
    if (nowBeat !== beat) {
      beat = nowBeat;
      changedMs = nowMs;
    } else if (nowMs - changedMs > SILENCE_MS) {
      Atomics.compareExchange(words, STATE, OCCUPY, 0);
    }
  }
}

// At another priority it would take time from the programs it is meant to help.
if (yieldToAll() >= 0) {
  let cpu = -1;
  for (;;) {
    Atomics.wait(words, STATE, 0);
    const wanted = Atomics.load(words, CPU);
    if (wanted !== cpu && useCpus([wanted]) >= 0) cpu = wanted;
    occupy(wanted);
  }
}
