/** Roles of a volume, and what a received snapshot does to its live tree; the way back over a base. */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CommandError, FsError } from '../../../src/lib/errors.js';
import { allocatorOf } from '../../../src/format/records/tables.js';
import { assertSame, receive, shownOf, streamOf } from '../sync/stream-trees.js';
import { VolumeFixture } from './volume-fixture.js';

const half = (): number => 0.5;

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof CommandError || error instanceof FsError) return error.code;
    throw error;
  }
  return 'none';
}

function sound(t: { strictSame(a: unknown, b: unknown): unknown }, fixture: VolumeFixture): void {
  fixture.flush();
  t.strictSame(fixture.check().findings, []);
}

t.test('promote: a new epoch, a new allocator, once', async (t) => {
  const fixture = new VolumeFixture(t);
  const { roles } = fixture.volume;
  t.same(roles.current, { role: 'none', epoch: 0 });
  fixture.write('before', 'x');
  const { allocator } = fixture.volume.catalog.identity;
  t.match(roles.promote('test', half), { answer: { role: 'primary', epoch: 1 } });
  const drawn = fixture.volume.catalog.identity.allocator;
  t.not(drawn, allocator);
  t.equal(allocatorOf(fixture.write('after', 'x')), drawn);
  t.match(roles.promote('test', half), { answer: { outcome: 'unchanged', epoch: 1 } });
  fixture.close();
  const by = fixture.volume.uuid;
  t.same(fixture.volume.roles.current, { role: 'primary', epoch: 1, by }, 'it is stored');
  t.equal(fixture.volume.catalog.identity.allocator, drawn);
  t.match(fixture.volume.history(1), [{ command: 'promote', outcome: 'primary' }]);
  t.match(fixture.volume.roles.promote('test', half, 7), { answer: { epoch: 7 } });
  t.equal(
    codeOf(() => fixture.volume.roles.promote('test', half, 6)),
    'epoch-too-low',
  );
  t.equal(
    codeOf(() => fixture.volume.roles.demote(undefined, 'test', 6)),
    'epoch-too-low',
  );
  t.same(fixture.volume.roles.current, { role: 'primary', epoch: 7, by });
  sound(t, fixture);
});

t.test('demote: what was not sent is kept, nothing else is made', async (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('f', 'one');
  fixture.save('one');
  fixture.flush();
  const clean = fixture.volume.roles.demote(undefined, 'test');
  t.match(clean.answer, { role: 'standby', epoch: 0, snapshot: 'one', diverged: undefined });
  t.equal(
    codeOf(() => fixture.write('g', 'x')),
    'EROFS',
  );
  t.equal(
    codeOf(() => fixture.restore('one')),
    'standby',
  );
  t.match(fixture.volume.roles.demote(undefined, 'test'), { answer: { outcome: 'unchanged' } });
  fixture.save('local');
  fixture.flush();
  fixture.close();
  t.equal(fixture.volume.isStandby, true);
  t.equal(
    codeOf(() => fixture.write('g', 'x')),
    'EROFS',
    'after a restart, too',
  );
  fixture.volume.roles.promote('test', half);
  fixture.write('f', 'two');
  fixture.save('two');
  fixture.write('f', 'three');
  fixture.flush();
  const { answer, moved } = fixture.volume.roles.demote('one', 'test');
  t.match(answer, { role: 'standby', epoch: 1, snapshot: 'one', diverged: 'diverged-1' });
  t.ok(moved);
  t.equal(fixture.content(fixture.at('f')), 'one');
  fixture.collect();
  const diverged = fixture.view('diverged-1');
  t.equal(fixture.content(fixture.at('f', diverged), diverged), 'three');
  t.equal(fixture.volume.latest()?.name, 'two', 'it is never the latest');
  sound(t, fixture);
  fixture.volume.roles.promote('test', half, 3);
  fixture.write('f', 'four');
  fixture.flush();
  const set = fixture.volume.roles.demote('one', 'test', 4);
  t.match(set.answer, { role: 'standby', epoch: 4, diverged: 'diverged-3' });
  fixture.volume.roles.promote('test', half, 5);
  fixture.write('f', 'five');
  sound(t, fixture);
});

t.test('an epoch that nobody can have counted to', async (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  const last = Number.MAX_SAFE_INTEGER;
  t.equal(
    codeOf(() => volume.roles.promote('test', half, 1_000_001)),
    'epoch-too-high',
  );
  fixture.save('one');
  t.equal(
    codeOf(() => volume.roles.demote(undefined, 'test', last)),
    'epoch-too-high',
  );
  t.match(volume.roles.promote('test', half, 1_000_000), { answer: { epoch: 1_000_000 } });
  // As a version stored it that believed what a peer said.
  volume.catalog.putRole({ role: 'standby', epoch: last });
  fixture.flush();
  fixture.close();
  for (const epoch of [undefined, last + 1]) {
    t.equal(
      codeOf(() => fixture.volume.roles.promote('test', half, epoch)),
      'epoch-exhausted',
    );
  }
  t.match(fixture.volume.roles.current, { epoch: last, role: 'standby' });
  sound(t, fixture);
});

t.test('what was asked for in another role is refused in its turn', async (t) => {
  const fixture = new VolumeFixture(t);
  const { roles } = fixture.volume;
  const heir = { number: 2, by: 'heir' };
  fixture.write('f', 'one');
  fixture.save('one');
  roles.promote('test', half, 5);
  fixture.write('f', 'nowhere else');
  fixture.flush();
  t.equal(
    codeOf(() => roles.follow('other', { number: 7, by: 'other' }, 'test')),
    'role-changed',
    'a primary may have what nobody else has',
  );
  t.equal(
    codeOf(() => roles.handOver('heir', heir, 'test')),
    'role-changed',
    'the heir would be primary in an epoch that is over',
  );
  t.match(roles.current, { role: 'primary', epoch: 5, handover: undefined });
  roles.demote(undefined, 'test');
  t.equal(
    codeOf(() => roles.handOver('heir', { ...heir, number: 6 }, 'test')),
    'role-changed',
    'a standby has no place to hand over',
  );
  sound(t, fixture);
});

t.test('a primary is its own, a standby follows', async (t) => {
  const source = new VolumeFixture(t);
  source.write('f', 'one');
  source.save('one');
  const target = new VolumeFixture(t);
  target.volume.roles.demote(undefined, 'test');
  t.match(receive(target, streamOf(source, 'one')), [{ isLive: true }], 'before it had anything');
  t.equal(target.content(target.at('f')), 'one');
  target.volume.roles.promote('test', half);
  target.write('f', 'mine');
  source.write('f', 'two');
  source.save('two');
  t.match(receive(target, streamOf(source, 'two', 'one')), [{ isLive: false }]);
  t.equal(target.content(target.at('f')), 'mine');
  assertSame(shownOf(source, 'two'), shownOf(target, 'two'));
  t.match(target.volume.roles.demote('two', 'test').answer, { diverged: 'diverged-1' });
  t.equal(target.content(target.at('f')), 'two');
  source.write('f', 'three');
  source.save('three');
  t.match(receive(target, streamOf(source, 'three', 'one')), [{ isLive: true }]);
  t.equal(target.content(target.at('f')), 'three');
  sound(t, target);
});

t.test('the way back to a volume over a base', async (t) => {
  const source = new VolumeFixture(t, {}, (base) => {
    mkdirSync(join(base, 'd/e'), { recursive: true });
    mkdirSync(join(base, 'away/deep'), { recursive: true });
    for (const name of ['a', 'b', 'c', 'd/f', 'd/g', 'd/e/h', 'away/x', 'away/deep/y']) {
      writeFileSync(join(base, name), `${name} `.repeat(3000));
    }
    linkSync(join(base, 'd/g'), join(base, 'again'));
    symlinkSync('a', join(base, 'link'));
  });
  source.write('c', 'changed here', 5000);
  source.rename('d/e', 'moved');
  source.save('one');
  const other = new VolumeFixture(t);
  receive(other, streamOf(source, 'one'));
  other.volume.roles.promote('test', half);
  // Changed, cut, moved, removed, linked; all of it untouched at the source.
  other.write('a', 'changed there', 4500);
  other.truncate('b', 5000);
  other.write('moved/h', 'deep below what was moved', 20);
  other.rename('d', 'dd');
  other.rename('dd/f', 'moved/f');
  other.unlink('away/deep/y');
  other.rmdir('away/deep');
  other.unlink('away/x');
  other.rmdir('away');
  other.link('dd/g', 'third');
  other.unlink('again');
  other.write('new', 'new');
  other.unlink('link');
  other.save('two');
  t.match(receive(source, streamOf(other, 'two', 'one')), [{ outcome: 'received', isLive: true }]);
  assertSame(shownOf(source, 'two'), shownOf(other, 'two'));
  t.match(source.content(source.at('a')), /changed there/);
  t.ok(source.at('b').base !== undefined, 'what was not changed stays in the base');
  sound(t, source);
  source.close();
  assertSame(shownOf(source, 'two'), shownOf(other, 'two'));
  // And forth again.
  source.write('dd/g', 'forth');
  source.save('three');
  t.match(receive(other, streamOf(source, 'three', 'two'), true), [{ isLive: false }]);
  assertSame(shownOf(source, 'three'), shownOf(other, 'three'));
  sound(t, other);
  other.restore('one');
  other.write('a', 'from before');
  other.save('four');
  receive(source, streamOf(other, 'four', 'three'), true);
  assertSame(shownOf(source, 'four'), shownOf(other, 'four'));
  source.collect();
  assertSame(shownOf(source, 'four'), shownOf(other, 'four'));
  sound(t, source);
  t.equal(
    codeOf(() => receive(source, streamOf(other, 'four'))),
    'receive-over-base',
    'in full it would hide what the base has',
  );
});
