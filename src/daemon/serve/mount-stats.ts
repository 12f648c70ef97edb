/** The figures of a mounted volume, collected on request. */
import { readFileSync } from 'node:fs';
import type { StatsReport } from '../../measure/stats-report.js';
import { cacheFigures } from '../../volume/cache-figures.js';
import type { MountedParts } from './state.js';

type Parts = Pick<MountedParts, 'plan' | 'volume' | 'tree' | 'connection'>;

export class MountStats {
  #sinceMs: number;

  constructor(
    readonly parts: Parts,
    readonly mountedMs: number,
  ) {
    this.#sinceMs = mountedMs;
  }

  /** Resets the counts to zero. */
  reset(): void {
    this.parts.connection()?.reset();
    this.parts.volume.txgs.counts.reset();
    this.#sinceMs = Date.now();
  }

  report(): StatsReport {
    const { plan, volume, tree, connection } = this.parts;
    const session = connection();
    const { live, special } = tree.status();
    const { asked, limits, tableBytes } = tree.forgetting.figures();
    return {
      driver: plan.driver,
      mountedMs: this.mountedMs,
      sinceMs: this.#sinceMs,
      elapsedMs: Date.now() - this.#sinceMs,
      readBytes: session?.counts.readBytes ?? 0,
      writtenBytes: session?.counts.writtenBytes ?? 0,
      requests: session?.counts.figures() ?? [],
      loop: session?.loop?.figures() ?? null,
      heldBackCount: session?.heldBack ?? null,
      commits: volume.txgs.counts.figures(),
      nodes: { live, special, asked },
      caches: [
        ...cacheFigures(volume, limits.paths),
        { name: 'live nodes', count: live, maxCount: limits.live },
        { name: 'special nodes', count: special, maxCount: limits.special },
        { name: 'table of nodes', sizeBytes: tableBytes },
      ],
      memory: memory(),
    };
  }
}

/** Memory of the whole process, and the serving thread's heap. */
function memory(): StatsReport['memory'] {
  const { heapUsed, heapTotal, external } = process.memoryUsage();
  const [, rssAnonKb] =
    /^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  return {
    rssAnonBytes: Number(rssAnonKb ?? 0) * 1024,
    heapUsedBytes: heapUsed,
    heapTotalBytes: heapTotal,
    externalBytes: external,
  };
}
