/** Opens the intent log of a volume, if it is wanted and the kernel can flush it. */
import { logFor } from '../../lib/log.js';
import type { Catalog } from '../catalog.js';
import type { VolumeCore } from '../core.js';
import { IntentLog } from './intent-log.js';
import { asyncFlush, InlineFlush, type LogFlush } from './log-flush.js';
import type { VolumeOpenOptions } from '../open-volume.js';

const log = logFor('intent-log');

export function openLog(
  { path, log: wanted, writer }: VolumeOpenOptions,
  core: VolumeCore,
  catalog: Catalog,
  uuid: string,
): IntentLog | undefined {
  if (wanted === undefined) return undefined;
  let flush: LogFlush | undefined = new InlineFlush();
  if (wanted.flush === 'async') flush = asyncFlush(writer.kind === 'thread' ? writer.wakeFd : -1);
  if (flush === undefined) {
    log('not used: the kernel refuses asynchronous flushes');
    return undefined;
  }
  return new IntentLog(core, {
    path,
    uuid,
    flush,
    storeCounters: () => catalog.storeCounters(),
    putMeta: (position) => catalog.putLog(position),
    ...(wanted.bytes !== undefined && { bytes: wanted.bytes }),
  });
}
