/**
 * The intent log (native-notes/intent-log.md): what replaying gives is what
 * storing gives (rule L2), record by record, and nothing but whole records of
 * the very log is ever applied (rule L5).
 */
import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  LOG_META,
  LOG_PAGE_BYTES,
  type LogPosition,
  logIdentity,
  LogRecordBuilder,
  readLogRecord,
} from '../../../src/format/records/log-record.js';
import { TABLE, TABLE_NAMES, type TableNumber } from '../../../src/format/records/tables.js';
import { logPath } from '../../../src/store/log-file.js';
import { StoreReader } from '../../../src/store/reader.js';
import { readMeta } from '../../../src/volume/catalog.js';
import { checkVolumeAt } from '../../../src/check/check.js';
import type { InlineSink } from '../../../src/volume/commit/inline-sink.js';
import { applyLog, logRecords, openToRead } from '../../../src/volume/log/log-replay.js';
import { Volume } from '../../../src/volume/volume.js';
import { RandomHistory } from './random-history.js';
import { VolumeFixture } from './volume-fixture.js';

const LOWEST_KEY = Buffer.of(0);
const HIGHEST_KEY = Buffer.alloc(64, 255);
const RING_BYTES = 256 * 1024;
const SEEDS = Number(process.env['SHADOWFS_LOG_SEEDS'] ?? 25);

/** fsync; pumps until it is answered. Whether the log answered it. */
function sync(fixture: VolumeFixture): boolean {
  const { volume } = fixture;
  const before = volume.core.commits.figures().logFlushes;
  let isDone = false;
  volume.durable().settled(
    () => {
      isDone = true;
    },
    (error) => {
      throw error;
    },
  );
  for (let i = 0; i < 10 && !isDone; i++) volume.pump();
  if (!isDone) throw new Error('the fsync was never answered');
  return volume.core.commits.figures().logFlushes > before;
}

/** A volume whose log is in use. */
function logged(t: Test, logBytes = RING_BYTES): VolumeFixture {
  const fixture = new VolumeFixture(t);
  fixture.logBytes = logBytes;
  fixture.write('first', 'x');
  sync(fixture);
  fixture.write('first', 'y');
  sync(fixture);
  fixture.write('first', 'z');
  t.equal(sync(fixture), true, 'the log answers');
  return fixture;
}

/** The volume as a crash would leave it now. */
function copyOf(fixture: VolumeFixture, name: string): string {
  const path = join(fixture.directory, name);
  cpSync(fixture.path, path, { recursive: true });
  return path;
}

function dump(path: string): string[] {
  const reader = StoreReader.open(path);
  const lines: string[] = [];
  for (const name of TABLE_NAMES) {
    const table: TableNumber = TABLE[name];
    for (const { key, value } of reader.range(table, undefined, undefined, {})) {
      const text = key.toString('latin1');
      if (table === TABLE.meta && (text === LOG_META || text === 'format')) continue;
      lines.push(`${name} ${key.toString('hex')} ${value.toString('hex').slice(0, 200)}`);
    }
  }
  reader.close();
  return lines;
}

/** Names, times, sizes and bytes of a volume's files. */
function filesOf(path: string): unknown {
  return readdirSync(path)
    .sort()
    .map((name) => {
      const { size, mtimeMs, ctimeMs } = statSync(join(path, name));
      const bytes = createHash('sha256')
        .update(readFileSync(join(path, name)))
        .digest('hex');
      return { name, size, mtimeMs, ctimeMs, bytes };
    });
}

type Lines = string[];

const lineOf = ({ key, value }: { key: Buffer; value: Buffer }): string =>
  `${key.toString('hex')} ${value.toString('hex')}`;

function rangeOf(reader: StoreReader, ...what: Parameters<StoreReader['range']>): Lines {
  return [...reader.range(...what)].map(lineOf);
}

function visited(reader: StoreReader, table: TableNumber, start: Buffer, most: number): Lines {
  const lines: Lines = [];
  reader.visit(table, start, HIGHEST_KEY, (record) => {
    const { keyBytes, keyStart, keyEnd, value, valueLength } = record;
    const key = Buffer.from(keyBytes.subarray(keyStart, keyEnd));
    lines.push(lineOf({ key, value: Buffer.from(value.subarray(0, valueLength)) }));
    return lines.length < most;
  });
  return lines;
}

function sought(reader: StoreReader, table: TableNumber, start: Buffer): Lines {
  const found = reader.seek(table, start, HIGHEST_KEY);
  return found === undefined ? [] : [lineOf(found)];
}

/** Every way to read gives the same. */
function compareReads(t: Test, read: StoreReader, whole: StoreReader, title: string): void {
  const same = (what: string, look: (reader: StoreReader) => unknown): void => {
    const [found, wanted] = [look(read), look(whole)];
    if (JSON.stringify(found) !== JSON.stringify(wanted))
      t.same(found, wanted, `${title}: ${what}`);
  };
  let keys = 0;
  for (const name of TABLE_NAMES) {
    const table: TableNumber = TABLE[name];
    const all = [...whole.range(table, undefined, undefined)].map(({ key }) => key);
    for (const { key } of read.range(table, undefined, undefined)) all.push(key);
    same(name, (reader) => rangeOf(reader, table, undefined, undefined));
    same(`${name} backwards`, (reader) =>
      rangeOf(reader, table, undefined, undefined, { reverse: true }),
    );
    same(`${name}, keys`, (reader) =>
      rangeOf(reader, table, undefined, undefined, { keysOnly: true }),
    );
    same(`${name}, visited`, (reader) => visited(reader, table, LOWEST_KEY, Infinity));
    for (const [i, key] of all.entries()) {
      keys++;
      const place = `${name} ${key.toString('hex')}`;
      const next = Buffer.concat([key, LOWEST_KEY]);
      same(`get ${place}`, (reader) => reader.get(table, key)?.toString('hex'));
      same(`has ${place}`, (reader) => [reader.has(table, key), reader.has(table, next)]);
      same(`seek ${place}`, (reader) => [
        sought(reader, table, key),
        sought(reader, table, next),
        sought(reader, table, key.subarray(0, -1)),
      ]);
      if (i % 7 !== 0) continue;
      same(`from ${place}`, (reader) => [
        rangeOf(reader, table, key, undefined, { limit: 3 }),
        rangeOf(reader, table, undefined, key, { limit: 3, reverse: true }),
        visited(reader, table, next, 3),
      ]);
    }
  }
  t.ok(keys > 0, title);
}

/** Without what the collector would take away: what was dropped may lie there until then. */
function collected(path: string, clock: VolumeFixture['clock']): string[] {
  const volume = Volume.open({ path, clock, writer: { kind: 'inline' } });
  const { sink } = volume.core;
  volume.flush();
  for (let round = 0; round < 20; round++) {
    const done = (sink as InlineSink).collect();
    volume.flush();
    if (done === 0) break;
  }
  volume.close();
  return dump(path);
}

t.test('L2: replaying gives what storing gives', (t) => {
  let byLog = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const fixture = new VolumeFixture(t);
    fixture.logBytes = RING_BYTES;
    const history = new RandomHistory(fixture, seed);
    for (let part = 0; part < 3; part++) {
      for (let i = 0; i < 40; i++) {
        history.step();
        if (history.random(4) === 0 && sync(fixture)) byLog++;
        if (history.random(8) === 0) fixture.volume.pump();
        if (history.random(12) === 0) fixture.volume.commit();
      }
      sync(fixture);
      const crashed = copyOf(fixture, `crashed${part}`);
      const looked = copyOf(fixture, `looked${part}`);
      fixture.flush();
      const stored = copyOf(fixture, `stored${part}`);
      const before = filesOf(crashed);
      t.same(
        checkVolumeAt({ path: crashed }).findings,
        [],
        `check of what is only read, seed ${seed}`,
      );
      const read = openToRead(looked);
      t.same(filesOf(crashed), before, 'nothing is written');
      applyLog(crashed, false);
      const whole = StoreReader.open(crashed);
      compareReads(t, read, whole, `seed ${seed}`);
      whole.close();
      read.close();
      applyLog(stored, false);
      t.same(checkVolumeAt({ path: crashed }).findings, [], `check, seed ${seed}`);
      const [left, right] = [collected(crashed, fixture.clock), collected(stored, fixture.clock)];
      if (JSON.stringify(left) !== JSON.stringify(right)) {
        const more = left.filter((line) => !right.includes(line));
        const less = right.filter((line) => !left.includes(line));
        t.fail(`seed ${seed}: the stores differ`, { more, less, log: history.log.slice(-60) });
        t.end();
        return;
      }
    }
    fixture.close();
  }
  t.ok(byLog > SEEDS * 5, `${byLog} fsyncs by the log in ${SEEDS} histories`);
  t.end();
});

t.test('L2: a block that two records put, the second one shorter', (t) => {
  const fixture = logged(t);
  fixture.write('cut', Buffer.alloc(32 * 1024, 'a'));
  t.ok(sync(fixture));
  fixture.truncate('cut', 1000);
  t.ok(sync(fixture));
  const crashed = copyOf(fixture, 'crashed');
  t.ok(applyLog(crashed, false) >= 2, 'in one transaction');
  t.same(checkVolumeAt({ path: crashed }).findings, []);
  fixture.flush();
  t.same(dump(crashed), dump(fixture.path));
  t.end();
});

t.test('L5: only whole records of the very log are applied', (t) => {
  const fixture = logged(t);
  const contents: string[] = ['z'];
  for (let i = 0; i < 6; i++) {
    contents.push(`content ${i} `.repeat(i * 300 + 1));
    fixture.write('first', contents.at(-1) as string);
    t.equal(sync(fixture), true);
  }
  const path = copyOf(fixture, 'damaged');
  const reader = StoreReader.open(path);
  const position = readMeta<LogPosition>(reader, LOG_META) as LogPosition;
  const uuid = readMeta<string>(reader, 'uuid') as string;
  reader.close();
  const whole = readFileSync(logPath(path));
  const count = (log: Buffer): number => [...logRecords(log, uuid, position)].length;
  const all = count(whole);
  t.ok(all >= 6, `${all} records`);
  const identity = logIdentity(uuid, position.epoch);
  /** Where the records are. */
  const at = [position.offset];
  for (let i = 0; i < all; i++) {
    const start = at[i] as number;
    const record = readLogRecord(whole.subarray(start), identity, position.sequence + i);
    at.push(start + (record?.pageBytes ?? 0));
  }
  for (const [what, byte] of [
    ['the CRC', 0],
    ['the magic', 5],
    ['the format', 11],
    ['the UUID', 20],
    ['the epoch', 30],
    ['the sequence', 43],
    ['the length', 47],
    ['the zeros', 50],
    ['an operation', 64],
    ['a key', 80],
  ] as const) {
    for (const [i, start] of at.slice(0, -1).entries()) {
      const flipped = Buffer.from(whole);
      flipped[start + byte] = (flipped[start + byte] as number) ^ 0x10;
      t.equal(count(flipped), i, `${what} of record ${i}`);
    }
  }
  for (const [i, start] of at.slice(0, -1).entries()) {
    t.equal(count(whole.subarray(0, start + 70)), i, 'cut off in a record');
    t.equal(count(whole.subarray(0, start)), i, 'cut off before a record');
  }
  t.equal(count(Buffer.alloc(0)), 0);
  const foreign = '00000000-0000-4000-8000-000000000000';
  t.equal([...logRecords(whole, foreign, position)].length, 0, 'another volume');
  t.equal([...logRecords(whole, uuid, { ...position, epoch: '0'.repeat(16) })].length, 0);
  const lap = { ...position, sequence: position.sequence + all };
  t.equal([...logRecords(whole, uuid, lap)].length, 0, 'what is there has been covered');

  // The third record is torn: what was promised before it is there, and nothing else.
  const torn = Buffer.from(whole);
  torn.fill(0, (at[2] as number) + 512, (at[2] as number) + LOG_PAGE_BYTES);
  const third = readLogRecord(whole.subarray(at[2] as number), identity, position.sequence + 2);
  writeFileSync(logPath(path), torn);
  applyLog(path, false);
  t.same(checkVolumeAt({ path }).findings, []);
  t.ok(third !== undefined);
  t.end();
});

t.test('the ring wraps, and is emptied by the groups that are stored', (t) => {
  const fixture = logged(t, 128 * 1024);
  for (let i = 0; i < 200; i++) {
    fixture.write(`f${i % 7}`, `${i} `.repeat(1 + ((i * 37) % 2000)), i % 3 === 0 ? 100 : 0);
    sync(fixture);
    if (i % 20 !== 19) continue;
    const crashed = copyOf(fixture, `lap${i}`);
    const survivor = Volume.open({ path: crashed, writer: { kind: 'none' } });
    for (let file = 0; file < 7; file++) {
      const seen = fixture.at(`f${file}`);
      const root = survivor.inode(survivor.live, 1);
      const inode = root && survivor.lookup(survivor.live, root, `f${file}`);
      t.equal(inode?.size, seen.size);
      const out = Buffer.alloc(seen.size);
      if (inode !== undefined) survivor.read(survivor.live, inode, 0, seen.size, out, 0);
      t.equal(out.toString('latin1'), fixture.content(seen), `f${file} after ${i}`);
    }
    survivor.close();
    t.same(checkVolumeAt({ path: crashed }).findings, []);
  }
  const { logFlushes, syncsByStore } = fixture.volume.core.commits.figures();
  t.ok(logFlushes > 100, `${logFlushes} by the log, ${syncsByStore} by LMDB`);
  t.end();
});

t.test('a closed volume has nothing in its log', (t) => {
  const fixture = logged(t);
  fixture.close();
  const reader = StoreReader.open(fixture.path);
  t.equal(readMeta(reader, LOG_META), undefined);
  t.equal(readMeta(reader, 'format'), 1);
  reader.close();
  t.same(fixture.check().findings, []);
  t.end();
});

t.test('what is too much for a record goes to LMDB', (t) => {
  const fixture = logged(t);
  fixture.write('large', Buffer.alloc(3 * 1024 * 1024, 'l'));
  t.equal(sync(fixture), false);
  fixture.write('first', 'small');
  t.equal(sync(fixture), true);
  const path = copyOf(fixture, 'crashed');
  t.equal(applyLog(path, false), 1);
  t.same(checkVolumeAt({ path }).findings, []);
  t.end();
});

t.test('a log that can not be written or flushed leaves it to LMDB', (t) => {
  const fixture = logged(t);
  const { log } = fixture.volume.txgs;
  if (log === undefined) throw new Error('there is a log');
  const { submit, take } = log.setup.flush;
  for (const [what, broken] of [
    ['submit', { submit: () => -5 }],
    ['flush', { submit: () => 0, take: () => -5 }],
  ] as const) {
    Object.assign(log.setup.flush, broken);
    fixture.write('first', `while the ${what} fails`);
    t.equal(sync(fixture), false, what);
    Object.assign(log.setup.flush, { submit, take });
    const path = copyOf(fixture, what);
    applyLog(path, false);
    t.same(dump(path), dump(copyOf(fixture, `${what}2`)), 'LMDB has it');
    fixture.write('first', `after the ${what} failed`);
    t.equal(sync(fixture), true, 'the log is used again');
  }
  t.end();
});

/** What the file has after a crash now. */
function afterCrash(fixture: VolumeFixture, copy: string, name: string): string {
  const path = copyOf(fixture, copy);
  applyLog(path, false);
  const survivor = Volume.open({ path, writer: { kind: 'none' } });
  const root = survivor.inode(survivor.live, 1);
  const inode = root && survivor.lookup(survivor.live, root, name);
  const out = Buffer.alloc(inode?.size ?? 0);
  if (inode !== undefined) survivor.read(survivor.live, inode, 0, out.length, out, 0);
  survivor.close();
  return out.toString('latin1');
}

/** fsync, without LMDB getting on with anything; whether it is answered. */
function answeredAtOnce({ volume }: VolumeFixture): boolean {
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  volume.durable().settled(done, (error) => {
    throw error;
  });
  return isDone;
}

t.test('a flush that fails after its group was closed: what is logged later is found', (t) => {
  const fixture = logged(t);
  const { volume } = fixture;
  const { log } = volume.txgs;
  if (log === undefined) throw new Error('there is a log');
  const { submit, take } = log.setup.flush;
  let answer: number | undefined;
  Object.assign(log.setup.flush, { submit: () => 0, take: () => answer });
  fixture.write('first', 'in a flush that fails');
  t.notOk(answeredAtOnce(fixture));
  volume.commit();
  answer = -5;
  volume.txgs.pump();
  t.ok(volume.core.closing, 'LMDB gets the group later');
  for (let i = 0; i < 5; i++) volume.pump();
  Object.assign(log.setup.flush, { submit, take });
  for (const [i, text] of ['one', 'two', 'three'].entries()) {
    fixture.write('first', text);
    sync(fixture);
    t.match(afterCrash(fixture, `after${i}`, 'first'), new RegExp(`^${text}`));
  }
  t.end();
});

t.test('an fsync does not wait for a group that was closed by age', (t) => {
  const fixture = logged(t);
  const { volume } = fixture;
  const { log } = volume.txgs;
  if (log === undefined) throw new Error('there is a log');
  const { flush } = log.setup;
  const submit = flush.submit.bind(flush);
  let flushes = 0;
  flush.submit = (fd) => {
    flushes++;
    return submit(fd);
  };
  fixture.write('first', 'not yet synced');
  volume.commit();
  t.equal(flushes, 0, 'closing a group flushes nothing');
  t.ok(volume.core.closing, 'LMDB does not have it');
  t.ok(answeredAtOnce(fixture), 'the log had the rest of it');
  t.equal(flushes, 1, 'once it is flushed');
  t.match(afterCrash(fixture, 'closed', 'first'), /^not yet synced/);
  t.ok(answeredAtOnce(fixture));
  t.equal(flushes, 1, 'nothing new: nothing to flush');
  fixture.write('second', 'new');
  t.ok(volume.core.closing);
  t.ok(answeredAtOnce(fixture));
  t.match(afterCrash(fixture, 'both', 'first'), /^not yet synced/);
  t.match(afterCrash(fixture, 'both2', 'second'), /^new/);
  t.end();
});

t.test('a record that does not fit says so', (t) => {
  const builder = new LogRecordBuilder(1000);
  builder.begin();
  builder.put(TABLE.meta, Buffer.from('k'), Buffer.alloc(800));
  t.equal(builder.isTooLarge, false);
  builder.put(TABLE.meta, Buffer.from('k'), Buffer.alloc(800));
  t.equal(builder.isTooLarge, true);
  t.end();
});
