/**
 * Failpoints: the instants at which a crash test may stop the process.
 *
 * `SHADOWFS_FAILPOINT=name[:n]` picks the n-th hit (from 1) of one failpoint;
 * there the process kills itself with SIGKILL. SHADOWFS_FAILPOINT_MODE names
 * another signal, or is `throw`, or `memory`, which fills V8's heap and so ends
 * the thread. Hits are counted per thread. Without the variable a failpoint
 * costs one comparison.
 */

const chosen = process.env.SHADOWFS_FAILPOINT;
const chosenName = chosen?.replace(/:\d+$/, '');
let hitsLeft = Number(/:(\d+)$/.exec(chosen ?? '')?.[1] ?? 1);

/** Marks a failpoint; names are `layer:what`, such as `store:before-commit`. */
export function failpoint(name: string): void {
  if (chosenName === undefined || name !== chosenName) return;
  hitsLeft--;
  if (hitsLeft !== 0) return;
  const mode = process.env.SHADOWFS_FAILPOINT_MODE ?? 'SIGKILL';
  if (mode === 'throw') throw new Error(`failpoint ${name}`);
  if (mode === 'memory') fillHeap();
  process.kill(process.pid, mode);
}

function fillHeap(): never {
  for (const kept: number[][] = []; ; ) kept.push(new Array<number>(8192).fill(0.5));
}
