/** Sending and receiving: what is refused, what is read, what a crash leaves, whose numbers. */
import { linkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CommandError, FsError } from '../../../src/lib/errors.js';
import { StreamEncoder, type StreamHeader } from '../../../src/format/wire/stream.js';
import type { InodeRecord, StreamRecord } from '../../../src/format/wire/stream-records.js';
import { allocatorOf, FIRST_DRAWN_ALLOCATOR, TABLE } from '../../../src/format/records/tables.js';
import { resumeToken } from '../../../src/sync/stream/receiving.js';
import { StreamReceiver } from '../../../src/sync/stream/receive-stream.js';
import {
  decodeToken,
  estimate,
  headerOf,
  requestOfToken,
  sendStream,
} from '../../../src/sync/stream/sender.js';
import { drawAllocator, mergeAllocators } from '../../../src/volume/peers/identity.js';
import { assertSame, receive, receiverOf, requestOf, shownOf, streamOf } from './stream-trees.js';
import { allocate } from '../../../src/tree/live/space.js';
import { VolumeFixture } from '../volume/volume-fixture.js';

/** FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE. */
const PUNCH = 0x03;

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof CommandError || error instanceof FsError) return error.code;
    throw error;
  }
  return 'none';
}

function caught(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    return error;
  }
}

function sound(t: Tap, fixture: VolumeFixture): void {
  t.strictSame(fixture.check().findings, []);
}

type Tap = Pick<typeof t, 'strictSame'>;

/** It arrives as it is, and sound. */
function follows(
  t: Tap,
  source: VolumeFixture,
  target: VolumeFixture,
  to: string,
  from: string,
): void {
  receive(target, streamOf(source, to, from));
  assertSame(shownOf(source, to), shownOf(target, to));
  sound(t, target);
}

const TIME = { s: 1, ns: 1 };
const ROOT: InodeRecord = {
  ...{ kind: 'inode', ino: 1, isNew: true, hasData: false, mode: 0o40755, uid: 0, gid: 0 },
  ...{ rdev: 0, nlink: 2, size: 0, allocated: 0, links: [] },
  ...{ atime: TIME, mtime: TIME, ctime: TIME, btime: TIME },
};

/** In the root. */
function fileRecord(ino: number, name: string): InodeRecord {
  return { ...ROOT, ino, mode: 0o100644, nlink: 1, links: [{ parent: 1, name }] };
}

function twoSnapshots(t: { teardown(body: () => void): unknown }): VolumeFixture {
  const source = new VolumeFixture(t);
  source.mkdir('d');
  source.write('d/f', 'x'.repeat(9000));
  source.write('hole', 'end', 50_000);
  source.save('one');
  source.write('d/f', 'y', 5000);
  source.rename('d', 'e');
  source.link('e/f', 'hard');
  source.save('two');
  return source;
}

t.test('full, then incremental; renames, links and holes stay what they are', async (t) => {
  const source = twoSnapshots(t);
  const target = new VolumeFixture(t);
  const [full] = receive(target, streamOf(source, 'one'));
  t.match(full, { outcome: 'received', name: 'one', from: null });
  t.equal(target.volume.snapshot('one')?.uuid, source.volume.snapshot('one')?.uuid);
  const stream = streamOf(source, 'two', 'one');
  t.ok(Buffer.concat(stream).length < 10_000, 'one block, and no more');
  t.match(receive(target, stream), [{ outcome: 'received', name: 'two', from: 'one' }]);
  assertSame(shownOf(source, 'one'), shownOf(target, 'one'));
  assertSame(shownOf(source, 'two'), shownOf(target, 'two'));
  t.equal(target.content(target.at('hard')).length, 9000, 'the live tree has moved on');
  t.match(receive(target, stream), [{ outcome: 'already-there', name: 'two' }]);
  t.match(target.volume.history(1), [{ command: 'receive', name: 'two', outcome: 'received' }]);
  target.collect();
  sound(t, target);
  assertSame(shownOf(source, 'one'), shownOf(target, 'one'));
  assertSame(shownOf(source, 'two'), shownOf(target, 'two'));
  const whole = new VolumeFixture(t);
  const streams = [...streamOf(source, 'one'), ...stream];
  t.equal(receive(whole, [Buffer.concat(streams)]).length, 2, 'one stream after the other');
  sound(t, whole);
});

t.test(
  'a snapshot of a schedule is one at the other end, for the schedule there to delete',
  async (t) => {
    const source = new VolumeFixture(t);
    source.write('f', 'x');
    source.volume.schedules.set('every 1m, keep 3 all', 'test');
    const auto = String(source.volume.schedules.run(false).saved);
    source.write('f', 'y');
    source.save('mine');
    const target = new VolumeFixture(t);
    receive(target, [...streamOf(source, auto), ...streamOf(source, 'mine', auto)]);
    t.equal(target.volume.snapshot(auto)?.kind, 'auto');
    t.equal(target.volume.snapshot('mine')?.kind, 'user');
    sound(t, target);
  },
);

t.test('what is refused, and that nothing has changed then', async (t) => {
  const source = twoSnapshots(t);
  const target = new VolumeFixture(t);
  const incremental = streamOf(source, 'two', 'one');
  t.equal(
    codeOf(() => receive(target, incremental)),
    'other-history',
    'nothing in common yet',
  );
  receive(target, streamOf(source, 'one'));
  const stranger = new VolumeFixture(t);
  stranger.write('f', 'x');
  stranger.save('one');
  t.equal(
    codeOf(() => receive(target, streamOf(stranger, 'one'))),
    'other-history',
  );
  const small = new VolumeFixture(t, { blockSize: 8192 });
  t.equal(
    codeOf(() => receive(small, streamOf(source, 'one'))),
    'block-size-mismatch',
  );
  const based = new VolumeFixture(t, {}, () => undefined);
  t.equal(
    codeOf(() => receive(based, streamOf(source, 'one'))),
    'receive-over-base',
  );

  target.write('mine', 'mine');
  t.equal(
    codeOf(() => receive(target, incremental)),
    'volume-moved-on',
  );
  t.equal(target.content(target.at('mine')), 'mine');
  t.equal(
    codeOf(() => receive(target, streamOf(source, 'two'))),
    'volume-moved-on',
    'in full',
  );
  t.same(
    target.volume.snapshots().map(({ name }) => name),
    ['one'],
  );
  const [forced] = receive(target, incremental, true);
  t.match(forced, { outcome: 'received', undo: /^undo-/ });
  assertSame(shownOf(source, 'two'), shownOf(target, 'two'));
  t.equal(target.find('mine'), undefined);
  target.restore(forced?.undo ?? '');
  t.equal(target.content(target.at('mine')), 'mine', 'kept');
  sound(t, target);

  source.write('third', '3');
  source.save('three');
  const third = streamOf(source, 'three', 'two');
  const behind = new VolumeFixture(t);
  receive(behind, streamOf(source, 'one'));
  t.equal(
    codeOf(() => receive(behind, third)),
    'base-snapshot-missing',
  );
  receive(behind, incremental);
  behind.save('three');
  t.equal(
    codeOf(() => receive(behind, third)),
    'snapshot-exists',
  );
  behind.volume.renameSnapshot('three', 'mine', 'test');
  behind.flush();
  t.match(receive(behind, third), [{ outcome: 'received' }], 'own snapshots are no obstacle');
  sound(t, behind);

  source.write('lost', 'x');
  const undo = source.restore('one') ?? '';
  t.equal(
    codeOf(() => streamOf(source, undo)),
    'undo-snapshot',
  );
});

t.test('a stream that is cut short goes on where it was, after a crash too', async (t) => {
  const source = new VolumeFixture(t);
  for (let i = 0; i < 40; i++) source.write(`f${i}`, `${i}`.repeat(6000));
  source.save('one');
  const target = new VolumeFixture(t);
  const frames = [...sendStream(source.volume, requestOf(source, 'one'), 20_000)];
  t.ok(frames.length > 6);
  const receiver = new StreamReceiver(receiverOf(target));
  for (const frame of frames.slice(0, 5)) t.equal([...receiver.push(frame)].length, 0);
  t.equal(
    codeOf(() => receiver.end()),
    'stream-incomplete',
  );
  const token = receiver.suspend() ?? '';
  t.same(target.volume.snapshots(), [], 'nothing is seen of it');
  sound(t, target);
  target.collect();
  // A new process knows as much.
  target.close();
  t.equal(resumeToken(target.volume), token);
  const request = requestOfToken(source.volume, decodeToken(token));
  t.ok(
    estimate(source.volume, request).bytes <
      estimate(source.volume, requestOf(source, 'one')).bytes,
  );
  const rest = [...sendStream(source.volume, request, 20_000)];
  t.ok(rest.length < frames.length);
  const other = new VolumeFixture(t);
  t.equal(
    codeOf(() => receive(other, rest)),
    'nothing-to-resume',
  );
  t.match(receive(target, rest), [{ outcome: 'received', name: 'one' }]);
  assertSame(shownOf(source, 'one'), shownOf(target, 'one'));
  t.equal(resumeToken(target.volume), undefined);
  sound(t, target);

  source.write('f1', 'changed');
  source.save('two');
  const again = new StreamReceiver(receiverOf(target));
  const second = [...sendStream(source.volume, requestOf(source, 'two', 'one'), 100)];
  for (const frame of second.slice(0, 2)) [...again.push(frame)];
  t.ok(again.suspend());
  receive(target, streamOf(source, 'two', 'one'));
  assertSame(shownOf(source, 'two'), shownOf(target, 'two'));
  target.collect();
  t.notOk(target.volume.core.layers.all().some(({ state }) => state === 'staging'));
  sound(t, target);
  t.equal(
    codeOf(() => decodeToken('nonsense')),
    'bad-token',
  );
});

t.test('a stream stays the same when the collector has worked in between', async (t) => {
  const source = new VolumeFixture(t);
  const { volume } = source;
  const block = volume.options.blockSize;
  const punch = (path: string, index: number): void => {
    source.clock.advance(10);
    allocate(volume, source.at(path).ino, index * block, block, PUNCH);
  };
  source.write('f', 'f'.repeat(4 * block));
  source.write('sparse', 'end', 3 * block);
  for (let i = 0; i < 20; i++) source.write(`small${i}`, `${i}`.repeat(3000));
  source.save('one');
  source.write('sparse', 's'.repeat(block), block);
  source.save('written');
  punch('sparse', 1);
  punch('f', 0);
  punch('f', 2);
  source.save('punched');
  source.write('g', 'g');
  source.save('two');
  const target = new VolumeFixture(t);
  receive(target, streamOf(source, 'one'));
  const full = Buffer.concat(streamOf(source, 'two'));
  const changes = Buffer.concat(streamOf(source, 'two', 'one'));

  const interrupted = new VolumeFixture(t);
  const receiver = new StreamReceiver(receiverOf(interrupted));
  const frames = [...sendStream(volume, requestOf(source, 'two'), 9 * block)];
  for (const frame of frames.slice(0, 3)) receiver.push(frame);
  const token = decodeToken(receiver.suspend() ?? '');

  const forget = (name: string): void => {
    volume.deleteSnapshot(name, 'test');
    source.flush();
    source.collect();
  };
  forget('written');
  forget('punched');
  t.ok(Buffer.concat(streamOf(source, 'two', 'one')).equals(changes), 'changes');
  receive(target, [changes]);
  assertSame(shownOf(source, 'two'), shownOf(target, 'two'));
  forget('one');
  // As after each mount: everything is looked at once.
  source.close();
  source.collect();
  t.ok(Buffer.concat(streamOf(source, 'two')).equals(full), 'all of it');
  const rest = sendStream(source.volume, requestOfToken(source.volume, token), 9 * block);
  receive(interrupted, rest);
  assertSame(shownOf(source, 'two'), shownOf(interrupted, 'two'));
  sound(t, interrupted);
});

t.test('records that do not fit together are not adopted', async (t) => {
  const source = twoSnapshots(t);
  const header: StreamHeader = headerOf(source.volume, requestOf(source, 'one'));
  const directory = ROOT;
  const file = fileRecord(2 ** 41 + 1, 'f');
  const entry: StreamRecord = { kind: 'entry', name: 'f', ino: file.ino, type: 8 };
  const cases: [string, StreamRecord[]][] = [
    ['no inode', [entry]],
    ['no root', [file]],
    ['an entry that leads nowhere', [directory, entry]],
    ['an inode without a name', [directory, { ...file }]],
    ['twice', [directory, directory]],
    ['a changed inode that is not there', [{ ...directory, isNew: false }]],
    ['gone, and never was', [directory, { kind: 'gone', ino: file.ino }]],
    ['an entry of a file', [directory, entry, file, entry]],
    ['data without saying so', [directory, entry, file, { kind: 'hole', index: 0 }]],
    [
      'a block beyond the end',
      [
        directory,
        entry,
        { ...file, hasData: true, size: 5 },
        { kind: 'block', index: 1, bytes: Buffer.from('x') },
      ],
    ],
    [
      'a block that is too long',
      [
        directory,
        entry,
        { ...file, hasData: true, size: 5 },
        { kind: 'block', index: 0, bytes: Buffer.from('longer') },
      ],
    ],
  ];
  for (const [title, records] of cases) {
    const encoder = new StreamEncoder(header);
    const frames = [encoder.start()];
    for (const record of records) encoder.add(record);
    const last = encoder.flush();
    if (last !== undefined) frames.push(last);
    frames.push(encoder.finish());
    const target = new VolumeFixture(t);
    t.equal(
      codeOf(() => receive(target, frames)),
      'stream-damaged',
      title,
    );
    t.same(target.volume.snapshots(), []);
    target.collect();
    sound(t, target);
    receive(target, streamOf(source, 'one'));
    target.close();
  }
});

t.test('a name of a base file that went with its directory', async (t) => {
  const source = new VolumeFixture(t, {}, (base) => {
    writeFileSync(join(base, 'e'), 'content');
    linkSync(join(base, 'e'), join(base, 'f'));
  });
  const target = new VolumeFixture(t);
  source.mkdir('d');
  source.rename('f', 'd/f');
  source.save('one');
  receive(target, streamOf(source, 'one'));
  source.unlink('d/f');
  source.rmdir('d');
  source.save('two');
  source.collect();
  follows(t, source, target, 'two', 'one');
  // And back, by a restore.
  source.restore('one');
  source.save('three');
  follows(t, source, target, 'three', 'two');
});

t.test('a file of a base that was made longer, and is back as it was by a restore', async (t) => {
  const source = new VolumeFixture(t, {}, (base) => {
    writeFileSync(join(base, 'short'), 'deep');
    writeFileSync(join(base, 'long'), 'x'.repeat(10_000));
  });
  const target = new VolumeFixture(t);
  source.save('one');
  source.write('short', 'end', 50_000);
  source.write('long', 'end', 70_000);
  source.save('two');
  receive(target, streamOf(source, 'two'));
  source.restore('one');
  source.save('three');
  follows(t, source, target, 'three', 'two');
});

t.test('an inode that comes twice is refused, also when it was stored in between', async (t) => {
  const source = twoSnapshots(t);
  const [first, ...rest] = [1, 2, 3].map((n) => ({ ino: 2 ** 41 + n, name: `f${n}` }));
  const all = [...rest, first].map((one) => one as { ino: number; name: string });
  const records: StreamRecord[] = [
    ROOT,
    ...all.map(({ name, ino }): StreamRecord => ({ kind: 'entry', name, ino, type: 8 })),
    ...all.map(({ ino, name }) => fileRecord(ino, name)),
  ];
  for (const again of all) {
    const target = new VolumeFixture(t);
    const receiver = new StreamReceiver(receiverOf(target));
    const encoder = new StreamEncoder(headerOf(source.volume, requestOf(source, 'one')));
    receiver.push(encoder.start());
    for (const record of records) encoder.add(record);
    receiver.push(encoder.flush() as Buffer);
    target.flush();
    encoder.add(fileRecord(again.ino, again.name));
    const frame = encoder.flush() as Buffer;
    t.match(
      caught(() => receiver.push(frame)),
      { code: 'stream-damaged', message: /comes twice/ },
    );
    target.close();
  }
});

t.test('an incremental stream reads what changed, and nothing else', async (t) => {
  const source = new VolumeFixture(t);
  for (let d = 0; d < 20; d++) {
    source.mkdir(`d${d}`);
    for (let i = 0; i < 100; i++) source.write(`d${d}/f${i}`, 'content');
  }
  source.save('one');
  for (let d = 0; d < 5; d++) source.write(`d${d}/f7`, 'changed');
  source.save('two');
  source.close();
  const { reader } = source.volume.core;
  let reads = 0;
  const { get, seek, range, visit } = reader;
  reader.get = (...words) => {
    reads++;
    return get.apply(reader, words);
  };
  reader.seek = (...words) => {
    reads++;
    return seek.apply(reader, words);
  };
  reader.range = function* counted(...words) {
    reads++;
    for (const entry of range.apply(reader, words)) {
      reads++;
      yield entry;
    }
  };
  reader.visit = (table, start, end, see) => {
    reads++;
    visit.call(reader, table, start, end, (record) => {
      reads++;
      return see(record);
    });
  };
  const few = streamOf(source, 'two', 'one');
  const fewReads = reads;
  t.ok(fewReads < 200, `${fewReads} reads for 5 changes among 2,000 files`);
  t.ok(Buffer.concat(few).length < 5000);
  reads = 0;
  streamOf(source, 'two');
  t.ok(reads > 6000, `${reads} reads in full`);
  t.comment(`${fewReads} reads incremental, ${reads} in full`);
});

t.test('nobody gives out a number that another one gives out (D6)', async (t) => {
  const source = twoSnapshots(t);
  const [a, b] = [new VolumeFixture(t), new VolumeFixture(t)];
  receive(a, streamOf(source, 'one'));
  const own = allocatorOf(a.write('of-a', 'x'));
  t.ok(own >= FIRST_DRAWN_ALLOCATOR);
  a.save('two');
  receive(b, streamOf(a, 'two'));
  const other = allocatorOf(b.write('of-b', 'x'));
  t.not(other, own);
  t.same(b.volume.catalog.identity.history, source.volume.uuid, 'one history');
  // And back to where it began, which has not moved since.
  source.restore('one');
  source.volume.deleteSnapshot('two', 'test');
  source.flush();
  receive(source, streamOf(a, 'two', 'one'));
  assertSame(shownOf(a, 'two'), shownOf(source, 'two'));
  t.equal(allocatorOf(source.write('of-source', 'x')), 2);
  for (const fixture of [source, a, b]) sound(t, fixture);
  // The counters are there after a restart.
  a.close();
  t.equal(a.volume.catalog.identity.allocator, own);

  t.equal(
    drawAllocator({}, () => 0),
    16,
  );
  t.equal(
    drawAllocator({ 16: 'x', 17: 'y' }, () => 0),
    18,
  );
  t.equal(
    drawAllocator({ 4095: 'x' }, () => 0.99999),
    16,
  );
  const mine = { history: 'h', allocator: 16, allocators: { 16: 'me' } };
  t.strictSame(
    mergeAllocators(mine, 'me', { 2: 'h', 16: 'them' }, () => 0),
    {
      history: 'h',
      allocator: 17,
      allocators: { 2: 'h', 16: 'them', 17: 'me' },
    },
  );
});

t.test('identity is stored, and check asks for it', async (t) => {
  const source = twoSnapshots(t);
  const target = new VolumeFixture(t);
  receive(target, streamOf(source, 'one'));
  target.write('mine', 'x');
  target.save('two');
  sound(t, target);
  target.damage((tx) => tx.del(TABLE.meta, Buffer.from('identity')));
  t.match(target.check().findings, [{ rule: 'D6' }], 'numbers of nobody');
});
