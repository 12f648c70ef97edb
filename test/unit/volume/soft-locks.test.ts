/** Soft locks: their records (rules K1–K4), and what a volume does with them. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { CorruptionError } from '../../../src/lib/errors.js';
import { ageText } from '../../../src/lib/age.js';
import {
  decodeLock,
  decodeLockKey,
  decodeOrigin,
  encodeLock,
  encodeOrigin,
  LOCK_TYPES,
  lockKey,
  MAX_LOCK_SEQUENCE,
  MAX_LOCKS_OF_ORIGIN,
  MAX_ORIGINS,
  originKey,
} from '../../../src/format/records/lock-record.js';
import { TABLE } from '../../../src/format/records/tables.js';
import type { LockItem } from '../../../src/volume/locks/lock-table.js';
import { codeOf } from './code-of.js';
import { VolumeFixture } from './volume-fixture.js';

const uuids = fc.uuid();
const origins = fc.stringMatching(/^[\x21-\x7e]{1,64}$/);
const texts = fc.string({ unit: 'grapheme', maxLength: 40 });
const times = fc.nat({ max: 2 ** 45 });

t.test('records and keys come back as they were, and damage is noticed (K2)', async (t) => {
  const locks = fc.record({
    type: fc.constantFrom(...LOCK_TYPES),
    isBroken: fc.boolean(),
    sinceMs: times,
    text: texts,
    dataset: texts,
    dependent: fc.oneof(fc.constant(''), uuids),
  });
  fc.assert(
    fc.property(locks, fc.nat(), fc.nat({ max: 7 }), (lock, at, bit) => {
      const value = encodeLock(lock);
      t.same(decodeLock(value, 'x'), lock);
      const place = at % value.length;
      value[place] = (value[place] as number) ^ (1 << bit);
      t.throws(() => decodeLock(value, 'x'), CorruptionError);
      value[place] = (value[place] as number) ^ (1 << bit);
      t.throws(() => decodeLock(value.subarray(0, place), 'x'), CorruptionError);
    }),
  );
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), times, (sequence, heardMs) => {
      const value = encodeOrigin({ sequence, heardMs });
      t.same(decodeOrigin(value, 'x'), { sequence, heardMs });
      t.throws(() => decodeOrigin(value.subarray(1), 'x'), CorruptionError);
    }),
  );
  fc.assert(
    fc.property(origins, uuids, fc.nat({ max: 65_535 }), (origin, uuid, number) => {
      const key = lockKey(origin, uuid, number);
      t.same(decodeLockKey(key), { origin, lock: { uuid, number } });
      t.same(decodeLockKey(originKey(origin)), { origin });
      t.equal(decodeLockKey(key.subarray(0, key.length - 1)), undefined);
    }),
  );
  t.equal(decodeLockKey(Buffer.from('\0')), undefined);
  t.equal(decodeLockKey(Buffer.from('no end')), undefined);
});

t.test('ages', async (t) => {
  const text = (s: number): string => ageText(s * 1000);
  t.same([-5, 0, 1, 89, 90, 5400, 130_000, 1_300_000, 9e6, 1e9].map(text), [
    'just now',
    'just now',
    '1 second ago',
    '89 seconds ago',
    '2 minutes ago',
    '2 hours ago',
    '2 days ago',
    '2 weeks ago',
    '3 months ago',
    '32 years ago',
  ]);
});

const B = '11111111-2222-3333-4444-555555555555';
const C = '99999999-2222-3333-4444-555555555555';

class Locked extends VolumeFixture {
  saved(name: string): string {
    this.save(name);
    return this.volume.requireSnapshot(name).uuid;
  }

  item(snapshot: string, text = 'standby B', dataset = 'root', dependent = ''): LockItem {
    return { snapshot, type: 'destination', text, dataset, dependent };
  }

  texts(uuid: string): string[] {
    return this.volume.locks.of(uuid).map(({ text }) => text);
  }

  /** Closed and opened anew, with nothing that check complains about. */
  reopen(t: Test): void {
    this.close();
    t.same(this.check().findings, []);
  }
}

t.test('a full set replaces the one before, and an old one changes nothing (row L9)', async (t) => {
  const fixture = new Locked(t);
  const [one, two] = [fixture.saved('one'), fixture.saved('two')];
  const { locks } = fixture.volume;
  const gone = '00000000-0000-0000-0000-000000000000';
  t.same(locks.set(B, 5, [fixture.item(one), fixture.item(gone)]), {
    applied: true,
    changed: true,
    sequence: 5,
    items: [
      { snapshot: one, outcome: 'kept' },
      { snapshot: gone, outcome: 'unknown-snapshot' },
    ],
  });
  fixture.clock.advance(60_000);
  locks.set(B, 6, [fixture.item(one), fixture.item(two), fixture.item(two, 'C', 'x', C)]);
  t.match(locks.set(B, 6, []), { applied: false, changed: false, sequence: 6 });
  t.match(locks.of(one), [{ origin: B, sequence: 6, type: 'destination', isBroken: false }]);
  const [first] = locks.of(one);
  t.equal((first?.heardMs ?? 0) - (first?.sinceMs ?? 0), 60_000, 'it was set a minute ago');
  t.same(fixture.texts(two), ['standby B', 'C'], 'two datasets need it');
  t.equal(locks.of(two)[1]?.dependent, C, 'B passes on what C needs');
  locks.set(C, 1, [fixture.item(two, 'elsewhere')]);
  locks.set(B, 7, []);
  t.same(fixture.texts(one), []);
  t.same(fixture.texts(two), ['elsewhere'], 'other origins are not concerned');
  t.same(locks.set(B, 7, [fixture.item(one)]).items, [{ snapshot: one, outcome: 'stale' }]);
  t.match(locks.set(B, 6, [fixture.item(one)]), { applied: false, sequence: 7 });
  fixture.reopen(t);
  t.equal(fixture.volume.locks.sequenceOf(B), 7, 'remembered with no lock');
  t.match(fixture.volume.locks.set(B, 6, [fixture.item(one)]), { applied: false });
  t.same(fixture.texts(one), [], 'a released lock does not come back');
  t.match(fixture.volume.locks.set(C, 1, [fixture.item(two, 'elsewhere')]), {
    applied: false,
    items: [{ outcome: 'kept' }],
  });
  t.same(fixture.volume.locks.set(B, 8, [fixture.item(one), fixture.item(one)]).items.length, 2);
  t.equal(fixture.texts(one).length, 1, 'twice the same is one');
  fixture.clock.advance(1000);
  fixture.volume.locks.heard(B);
  fixture.volume.locks.heard('stranger');
  t.equal(fixture.volume.locks.of(one)[0]?.heardMs, fixture.clock.nowMs());
  fixture.reopen(t);
});

t.test(
  'a locked snapshot is not deleted, but by force, and the dependent is told (row L8)',
  async (t) => {
    const fixture = new Locked(t);
    const uuid = fixture.saved('one');
    fixture.volume.locks.set(B, 1, [fixture.item(uuid)]);
    fixture.volume.lockSnapshot('one', 'the audit', 'test');
    fixture.volume.lockSnapshot('one', 'the audit', 'test');
    t.equal(fixture.volume.locks.of(uuid).length, 2, 'the same reason counts once');
    fixture.clock.advance(3 * 3600_000);
    const refused = (): unknown => fixture.volume.deleteSnapshot('one', 'test');
    t.throws(refused, {
      code: 'snapshot-locked',
      errno: 'EBUSY',
      message: /needed by destination standby B of root .*set 3 hours ago[\s\S]*by hand: the audit/,
      details: {
        locks: [{ origin: B, snapshot: 'one', lastHeardMs: Number }, { lastHeardMs: null }],
      },
    });
    fixture.volume.renameSnapshot('one', 'uno', 'test');
    fixture.reopen(t);
    t.equal(
      codeOf(() => fixture.volume.deleteSnapshot('uno', 'test')),
      'snapshot-locked',
      'renamed',
    );
    const answer = fixture.volume.deleteSnapshot('uno', 'test', true);
    t.match(answer, { forced: true, locks: [{ text: 'standby B' }, { text: 'the audit' }] });
    fixture.flush();
    t.match(fixture.volume.history(1), [
      { outcome: 'deleted by force', details: { forced: true } },
    ]);
    fixture.reopen(t);
    const { locks } = fixture.volume;
    t.same(locks.of(uuid), []);
    t.match(locks.broken(B), [{ snapshot: uuid, isBroken: true }], 'kept until it knows');
    t.match(fixture.volume.shownLocks(), [{ snapshot: null, uuid, broken: true }]);
    locks.set(B, 2, []);
    t.equal(locks.broken(B).length, 1, 'a new set is no acknowledgement');
    locks.acknowledgeBroken(B, [uuid]);
    t.same(locks.all(), []);
    fixture.reopen(t);
  },
);

t.test('people lock, unlock and release', async (t) => {
  const fixture = new Locked(t);
  const uuid = fixture.saved('one');
  const { volume } = fixture;
  t.equal(
    codeOf(() => volume.unlockSnapshot('one', undefined, 'test')),
    'not-locked',
  );
  volume.lockSnapshot('one', 'a', 'test');
  volume.lockSnapshot('one', 'b', 'test');
  volume.locks.set(B, 3, [fixture.item(uuid)]);
  t.equal(
    codeOf(() => volume.unlockSnapshot('one', 'c', 'test')),
    'not-locked',
  );
  t.match(volume.unlockSnapshot('one', 'a', 'test'), { releasedCount: 1 });
  t.same(fixture.texts(uuid).sort(), ['b', 'standby B']);
  volume.lockSnapshot('one', 'c', 'test');
  t.match(volume.unlockSnapshot('one', undefined, 'test'), { releasedCount: 2 });
  t.throws(() => volume.unlockSnapshot('one', undefined, 'test'), {
    message: /only locked by others/,
  });
  t.equal(
    codeOf(() => volume.locks.release('22222222', 'test')),
    'no-such-origin',
  );
  t.match(volume.locks.release(B.slice(0, 8), 'test'), { origin: B, releasedCount: 1 });
  t.match(volume.locks.set(B, 3, [fixture.item(uuid)]), { applied: false }, 'its number stays');
  t.match(volume.locks.set(B, 4, [fixture.item(uuid)]), { applied: true }, 'it was alive');
  fixture.flush();
  t.match(volume.history(1), [{ command: 'unlock', outcome: 'released', details: { origin: B } }]);
  for (const bad of ['', 'a\nb', 'x'.repeat(1025)]) {
    t.equal(
      codeOf(() => volume.lockSnapshot('one', bad, 'test')),
      'bad-lock',
    );
  }
  t.equal(
    codeOf(() => volume.lockSnapshot('nope', 'x', 'test')),
    'no-such-snapshot',
  );
  fixture.reopen(t);
});

t.test('what is no set of locks is refused whole', async (t) => {
  const fixture = new Locked(t);
  const uuid = fixture.saved('one');
  const { locks } = fixture.volume;
  const item = fixture.item(uuid);
  for (const [origin, sequence, items] of [
    ['local', 1, []],
    ['', 1, []],
    ['a b', 1, []],
    ['x'.repeat(65), 1, []],
    [B, -1, []],
    [B, 1.5, []],
    [B, MAX_LOCK_SEQUENCE + 1, []],
    [B, 1, [{ ...item, snapshot: 'one' }]],
    [B, 1, [{ ...item, type: 'hostage' as 'owner' }]],
    [B, 1, [{ ...item, dependent: 'a b' }]],
    [B, 1, [{ ...item, text: 'a\u0007b' }]],
    [B, 1, [item, { ...item, dataset: 'x'.repeat(256) }]],
    [B, 1, new Array<LockItem>(MAX_LOCKS_OF_ORIGIN + 1).fill(item)],
  ] as [string, number, LockItem[]][]) {
    t.equal(
      codeOf(() => locks.set(origin, sequence, items)),
      'bad-lock',
    );
  }
  t.same(locks.all(), []);
  fixture.reopen(t);
});

t.test('a stored number that nobody can have counted to keeps no set out', async (t) => {
  const fixture = new Locked(t);
  const uuid = fixture.saved('one');
  const { volume } = fixture;
  volume.locks.set(B, 3, [fixture.item(uuid)]);
  // As a version stored it that believed what a peer said.
  const stored = encodeOrigin({ sequence: Number.MAX_SAFE_INTEGER, heardMs: 0 });
  volume.core.withReserve(() => volume.core.putSystem(TABLE.locks, originKey(B), stored));
  fixture.reopen(t);
  const { locks } = fixture.volume;
  t.equal(locks.sequenceOf(B), Number.MAX_SAFE_INTEGER);
  t.match(locks.set(B, 4, []), { applied: true, sequence: 4 });
  t.match(locks.set(B, 4, [fixture.item(uuid)]), { applied: false });
  t.same(fixture.texts(uuid), []);
  fixture.reopen(t);
  t.equal(fixture.volume.locks.sequenceOf(B), 4);
});

t.test('the table is bounded (K4)', async (t) => {
  const fixture = new Locked(t);
  const uuid = fixture.saved('one');
  const { locks } = fixture.volume;
  const many = Array.from({ length: MAX_LOCKS_OF_ORIGIN }, (_, n) => fixture.item(uuid, `${n}`));
  for (let n = 0; n < 4; n++) locks.set(`many${n}`, 1, many);
  t.equal(
    codeOf(() => locks.set('another', 1, [fixture.item(uuid)])),
    'too-many-locks',
  );
  locks.set('many0', 2, many.slice(1));
  t.equal(
    codeOf(() => locks.set('another', 1, [fixture.item(uuid)])),
    'none',
  );
  fixture.reopen(t);
  t.equal(fixture.volume.locks.all().length, 4 * MAX_LOCKS_OF_ORIGIN);
  const again = fixture.volume.locks;
  for (let n = 0; n < 4; n++) again.set(`many${n}`, 3, []);
  const own = again.all().length;
  t.equal(own, 1);
  for (let n = 0; n < MAX_ORIGINS + 5; n++) {
    fixture.clock.advance(1);
    again.set(`origin${n}`, 1, []);
  }
  t.equal(again.sequenceOf('many0'), undefined, 'the silent ones that need nothing go');
  t.equal(again.sequenceOf('another'), 1, 'one that needs something stays');
  fixture.reopen(t);
});

t.test('the undo policy leaves locked snapshots alone, and says so (row L8)', async (t) => {
  const fixture = new Locked(t, { keepUndo: 1 });
  fixture.save('one');
  const undo = (): string => {
    fixture.clock.advance(1000);
    fixture.write('f', String(fixture.clock.nowMs()));
    return fixture.volume.restore('one', 'test').undo ?? '';
  };
  const first = undo();
  fixture.volume.lockSnapshot(first, 'evidence', 'test');
  const second = undo();
  fixture.write('g', 'g');
  fixture.clock.advance(1000);
  const answer = fixture.volume.restore('one', 'test');
  t.same(answer.pruned, [second]);
  t.same(answer.locked, [first]);
  fixture.flush();
  t.match(fixture.volume.history(1), [{ details: { locked: [first], pruned: [second] } }]);
  fixture.reopen(t);
});

t.test('check finds locks of what is not there, and damage; damaged ones still lock', async (t) => {
  const fixture = new Locked(t);
  const uuid = fixture.saved('one');
  fixture.volume.locks.set(B, 1, [fixture.item(uuid)]);
  fixture.reopen(t);
  const gone = '00000000-0000-0000-0000-000000000001';
  fixture.damage((tx) => {
    const value = {
      type: 'owner',
      isBroken: false,
      sinceMs: 1,
      text: 'x',
      dataset: '',
      dependent: '',
    } as const;
    tx.put(TABLE.locks, lockKey(B, gone, 0), encodeLock(value));
    tx.put(TABLE.locks, lockKey(C, uuid, 0), Buffer.from('nonsense'));
    tx.put(TABLE.locks, Buffer.from('nonsense'), Buffer.from('x'));
  });
  const { findings } = fixture.check();
  t.same(findings.map(({ rule }) => rule).sort(), ['K1', 'K1', 'K2', 'K2']);
  t.match(
    findings.map(({ what }) => what).join('; '),
    /0001 does not exist.*no record|no record.*0001 does not exist/,
  );
  t.equal(
    codeOf(() => fixture.volume.deleteSnapshot('one', 'test')),
    'snapshot-locked',
  );
  t.equal(fixture.texts(uuid).length, 2, 'what cannot be read may be needed');
});
