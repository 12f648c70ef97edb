/**
 * The writer thread: stores txgs as they come, and collects garbage in small
 * slices in between. Flushes happen here, never in the serving loop.
 */
import { MAX_RESERVE_BYTES } from '../../store/space.js';
import { performance } from 'node:perf_hooks';
import { threadData } from '../../lib/threads.js';
import { logFor } from '../../lib/log.js';
import { failpoint } from '../../lib/failpoints.js';
import { mallocTrim, markIoFlusher } from '../../libc/libc.js';
import { eventfdSignal } from '../../libc/poll.js';
import type { WriteBatch } from '../../store/batch.js';
import type { CollectorStats } from '../collector/collector.js';
import type { CompactReport } from './compaction.js';
import type { CommitCost } from './txg-sink.js';
import type { WriterData } from './start-writer.js';
import { type SpaceReport, WriterHost } from './writer-host.js';
import { WriterSigns } from './writer-signs.js';

export type ToWriter =
  | { type: 'batch'; batch: WriteBatch }
  | { type: 'ensure'; bytes: number }
  | { type: 'pin'; layers: number[] }
  | { type: 'make-log'; bytes: number }
  | { type: 'compact' }
  | { type: 'look' }
  | { type: 'quota'; bytes: number }
  | { type: 'close' };

export type FromWriter =
  | { type: 'space'; space: SpaceReport }
  | { type: 'looked'; space: SpaceReport }
  | { type: 'committed'; id: number; took: CommitCost; space: SpaceReport }
  | { type: 'failed'; id: number; message: string }
  | { type: 'emptied'; layer: number }
  | { type: 'collected'; stats: CollectorStats; space: SpaceReport }
  | { type: 'compacting'; report: CompactReport; space: SpaceReport }
  | { type: 'log-made'; isMade: boolean }
  | { type: 'closed' };

const log = logFor('writer');
/** After this long without work, the thread gives back memory that the work used. */
const REST_MS = 3000;
/**
 * Pause between slices of collecting, as a multiple of the last slice: the foreground comes first.
 */
const COLLECT_PAUSE = 2;
const COLLECT_PAUSE_MAX_MS = 30;

/** Two passes make pages usable; the serving thread's reader may be one behind. */
const PASSES_MAX = 4;

const { setup, port, wakeFd, signs: memory } = threadData() as WriterData;
const signs = new WriterSigns(memory);

function say(message: FromWriter): void {
  port.postMessage(message);
  signs.hasSpoken();
  if (wakeFd >= 0) eventfdSignal(wakeFd);
}

/**
 * Transactions without a change since the last one with a change. A reader of an old state can make
 * them useless.
 */
let passes = 0;
let timer: NodeJS.Timeout | undefined;

function start(): WriterHost {
  try {
    return new WriterHost(setup, (layer) => say({ type: 'emptied', layer }));
  } catch (error) {
    say({ type: 'failed', id: 0, message: (error as Error).message });
    throw error;
  }
}

// Programs that write wait for this thread, even while memory is short. Only root may ask for this.
markIoFlusher();
const host = start();

/** LMDB frees the pages of a txg, but the C heap keeps them for the next one. */
function trimAtRest(): void {
  resting.refresh();
}

const resting = setTimeout(mallocTrim, REST_MS);
resting.unref();

function collectSoon(pauseMs = COLLECT_PAUSE_MAX_MS): void {
  timer ??= setTimeout(collectSlice, Math.min(pauseMs, COLLECT_PAUSE_MAX_MS));
}

function collectSlice(): void {
  timer = undefined;
  const startMs = performance.now();
  try {
    if (host.collect()) passes = 0;
    else if (host.isCompacting) sayCompact(host.compactSlice());
    else if (host.takeBackWhenGrown()) passes = 0;
    else if (passes >= PASSES_MAX || !host.passWhenTight()) return;
    else passes++;
    const space = host.ensure(MAX_RESERVE_BYTES);
    say({ type: 'collected', stats: { ...host.collector.stats }, space });
    collectSoon(COLLECT_PAUSE * (performance.now() - startMs));
  } catch (error) {
    log(`collector: ${(error as Error).stack ?? String(error)}`);
  }
}

function sayCompact(report: CompactReport): void {
  say({ type: 'compacting', report, space: host.ensure(MAX_RESERVE_BYTES) });
}

function storeBatch(batch: WriteBatch): void {
  try {
    const took = host.apply(batch);
    trimAtRest();
    passes = 0;
    say({ type: 'committed', id: batch.id, took, space: host.ensure(MAX_RESERVE_BYTES) });
    collectSoon();
  } catch (error) {
    log(`txg ${batch.id}: ${(error as Error).stack ?? String(error)}`);
    say({ type: 'failed', id: batch.id, message: (error as Error).message });
  }
}

port.on('message', (message: ToWriter) => {
  failpoint('writer:message');
  switch (message.type) {
    case 'batch':
      storeBatch(message.batch);
      break;
    case 'ensure':
      say({ type: 'space', space: host.ensure(message.bytes) });
      break;
    case 'pin':
      host.collector.pin(message.layers);
      collectSoon();
      break;
    case 'quota':
      host.setQuota(message.bytes);
      say({ type: 'space', space: host.ensure(MAX_RESERVE_BYTES) });
      break;
    case 'look':
      say({ type: 'looked', space: host.look() });
      break;
    case 'compact':
      sayCompact(host.compact());
      collectSoon(0);
      break;
    case 'make-log':
      say({ type: 'log-made', isMade: host.makeLog(message.bytes) });
      break;
    case 'close':
      clearTimeout(timer);
      host.close();
      say({ type: 'closed' });
      port.close();
      break;
  }
});

say({ type: 'space', space: host.ensure(MAX_RESERVE_BYTES) });
collectSoon();
