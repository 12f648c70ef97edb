/** What a reader sees while its thread does other things: one state, until it is told to move on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { TABLE } from '../../../src/format/records/tables.js';
import { openOverlaid } from '../../../src/store/overlaid-reader.js';
import { StoreReader } from '../../../src/store/reader.js';
import { StoreWriter } from '../../../src/store/writer.js';

const FIRST = Buffer.of(0);
const LAST = Buffer.alloc(64, 0xff);
const EACH = 100;

function volume(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-reader-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return join(path, 'volume');
}

/** Records of large values, through LMDB and in the file. */
function seen(reader: StoreReader): { inMap: number; inFile: number } {
  const inMap = [...reader.range(TABLE.blocks, FIRST, LAST, { keysOnly: true })].length;
  let inFile = 0;
  const isWhole = reader.values?.walk(TABLE.blocks, FIRST, LAST, () => ++inFile > 0);
  return { inMap, inFile: isWhole === true ? inFile : -1 };
}

const WAYS: readonly (readonly [string, (path: string) => StoreReader])[] = [
  ['of another process', (path) => StoreReader.open(path, { readOnly: true })],
  ["of the writer's process", (path) => StoreReader.open(path)],
  ['that may have a log over it', (path) => openOverlaid(path, () => undefined)],
];

for (const [title, open] of WAYS) {
  t.test(`a reader ${title} keeps its state while its thread yields`, async (t) => {
    const path = volume(t);
    const writer = StoreWriter.open(path, { create: true });
    t.teardown(() => writer.close());
    const put = (round: number): void =>
      void writer.transaction((tx) => {
        for (let i = 0; i < EACH; i++) {
          tx.put(TABLE.blocks, Buffer.from(`${round}-${i}`.padEnd(30)), Buffer.alloc(3000, round));
        }
      });
    put(1);
    const reader = open(path);
    t.teardown(() => reader.close());
    t.same(seen(reader), { inMap: EACH, inFile: EACH });
    for (let round = 2; round < 6; round++) {
      put(round);
      await sleep(5);
      t.same(seen(reader), { inMap: EACH, inFile: EACH }, 'in the map and in the file alike');
    }
    reader.refresh();
    t.same(seen(reader), { inMap: 5 * EACH, inFile: 5 * EACH }, 'told to, it moves on');
    put(6);
    await sleep(5);
    t.same(seen(reader), { inMap: 5 * EACH, inFile: 5 * EACH });
  });
}
