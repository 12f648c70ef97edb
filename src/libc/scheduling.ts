/**
 * Which processors the calling thread runs on, and with what priority. All
 * calls are about one thread, never about the process.
 */
import { glibc, result } from './library.js';

const SCHED_IDLE = 5;
/** sizeof(cpu_set_t): 1,024 processors. */
const MASK_BYTES = 128;

const callGetAffinity: (tid: number, size: number, mask: Uint8Array) => number = glibc.func(
  'int sched_getaffinity(int, uint64_t, void *)',
);
const callSetAffinity: (tid: number, size: number, mask: Uint8Array) => number = glibc.func(
  'int sched_setaffinity(int, uint64_t, void *)',
);
const callSetScheduler: (tid: number, policy: number, parameters: Uint8Array) => number =
  glibc.func('int sched_setscheduler(int, int, void *)');
const callGetCpu: () => number = glibc.func('int sched_getcpu()');

/** The processors this thread may use, in order; empty when the kernel does not report them. */
export function allowedCpus(): number[] {
  const mask = new Uint8Array(MASK_BYTES);
  if (result(callGetAffinity(0, MASK_BYTES, mask)) < 0) return [];
  const cpus: number[] = [];
  for (let cpu = 0; cpu < MASK_BYTES * 8; cpu++) {
    if (((mask[cpu >> 3] ?? 0) & (1 << (cpu & 7))) !== 0) cpus.push(cpu);
  }
  return cpus;
}

/** Keeps this thread on these processors. 0, or -errno (-EINVAL: none of them exists). */
export function useCpus(cpus: readonly number[]): number {
  const mask = new Uint8Array(MASK_BYTES);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return result(callSetAffinity(0, MASK_BYTES, mask));
}

/** Gives this thread a processor only while no other thread wants it (SCHED_IDLE). 0 or -errno. */
export function yieldToAll(): number {
  return result(callSetScheduler(0, SCHED_IDLE, new Uint8Array(4)));
}

/** The processor this thread runs on now, or -errno. */
export function currentCpu(): number {
  return result(callGetCpu());
}
