/** A volume's part in group saves, with a mount and time that are played. */
import t, { type Test } from 'tap';
import type { Deferred } from '../../../src/lib/deferred.js';
import { settledWith } from '../../../src/lib/work.js';
import { VolumeCommands } from '../../../src/daemon/commands/commands.js';
import type { ThreadCalls } from '../../../src/daemon/calls/thread-calls.js';
import type { GroupToVolume } from '../../../src/daemon/peers/connections-calls.js';
import { GroupMember } from '../../../src/daemon/peers/group-member.js';
import type { Point } from '../../../src/sync/group/group-messages.js';
import type { View } from '../../../src/volume/view.js';
import { VolumeFixture } from '../volume/volume-fixture.js';
import { idleParts } from './command-parts.js';
import { joinedCalls } from './joined-calls.js';

const OTHER = '11111111-1111-1111-1111-111111111111';

const point = (name: string, initiator = OTHER): Point => ({
  key: `${initiator}/1/${name}`,
  name,
  initiator,
  selected: [[initiator, 1]],
  parkMaxMs: 5000,
});

type Outcome = 'done' | 'waits' | { code?: string };

class Member {
  readonly fixture: VolumeFixture;
  isHeld = false;
  timers: (() => void)[] = [];
  commands!: VolumeCommands<View>;
  member!: GroupMember;
  calls!: ThreadCalls<GroupToVolume, Record<never, { args: unknown }>>;

  constructor(t: Test) {
    this.fixture = new VolumeFixture(t);
    this.open();
  }

  open(): void {
    const { volume, clock } = this.fixture;
    this.timers = [];
    this.commands = new VolumeCommands<View>({
      ...idleParts,
      volume,
      restored: () => () => settledWith({}),
      agent: () => undefined,
      nowMs: () => clock.nowMs(),
      log: () => undefined,
    });
    this.member = new GroupMember({
      volume,
      commands: this.commands,
      holdChanges: () => {
        this.isHeld = true;
      },
      letGo: () => {
        this.isHeld = false;
      },
      later: (_delayMs, run) => void this.timers.push(run),
    });
    this.calls = joinedCalls({}, this.member.handlers).here;
  }

  /** As after kill -9, too: what was answered is on disk. */
  reopen(): void {
    this.fixture.close();
    this.open();
  }

  outcome<A>(start: () => Deferred<A>): () => Outcome {
    let outcome: Outcome = 'waits';
    const failed = (error: unknown): void => {
      outcome = error as { code?: string };
    };
    try {
      start().settled(() => {
        outcome = 'done';
      }, failed);
    } catch (error) {
      failed(error);
    }
    this.fixture.flush();
    return () => outcome;
  }

  /** As the thread of the connections asks. */
  run<K extends keyof GroupToVolume>(method: K, args: GroupToVolume[K]['args']): Outcome {
    return this.asked(method, args)();
  }

  asked<K extends keyof GroupToVolume>(method: K, args: GroupToVolume[K]['args']): () => Outcome {
    return this.outcome(() => this.calls.call(method, args as never));
  }

  names(): string[] {
    return this.fixture.volume.snapshots().map(({ name }) => name);
  }
}

function test(name: string, body: (t: Test, member: Member) => void): void {
  t.test(name, async (t) => {
    const member = new Member(t);
    body(t, member);
    member.fixture.flush();
    t.same(member.fixture.check().findings, []);
  });
}

test('a tentative snapshot is none until it is kept', (t, member) => {
  const p = { ...point('one'), note: 'quiet' };
  member.fixture.write('/file', 'before');
  t.equal(member.run('groupPark', { point: p }), 'done');
  t.ok(member.isHeld);
  const save = member.outcome(() => member.commands.run('save', { name: 'later' }, 'cli'));
  t.equal(save(), 'waits', 'other commands wait, too');
  t.equal(member.run('groupSave', { point: p }), 'done');
  t.notOk(member.isHeld);
  member.fixture.flush();
  t.equal(save(), 'done');
  t.same(member.names(), ['later']);
  member.fixture.write('/file', 'behind');
  member.reopen();
  t.same(member.member.stored().tentative, [p], 'it is there after a crash');
  t.same(member.names(), ['later']);
  const taken = member.outcome(() => member.commands.run('save', { name: 'one' }, 'cli'));
  t.match(taken(), { code: 'snapshot-exists' }, 'its name is taken');
  member.fixture.collect();
  t.same(member.fixture.check().findings, []);
  t.equal(member.run('groupKeep', { key: p.key }), 'done');
  t.equal(member.run('groupKeep', { key: p.key }), 'done', 'once more: nothing');
  member.reopen();
  t.same(member.member.stored().tentative, []);
  t.same(member.names(), ['one', 'later']);
  const { fixture } = member;
  const view = fixture.view('one');
  t.equal(fixture.content(fixture.at('/file', view), view), 'before');
  const records = fixture.volume.history(10).filter(({ command }) => command === 'group-save');
  t.match(records, [{ name: 'one', source: `peer:${OTHER}`, outcome: 'saved' }]);
  t.match(records, [{ details: { note: 'quiet' } }], 'the note is in the history');
  t.equal(fixture.volume.snapshot('one')?.note, 'quiet', 'and stays with the snapshot');
  t.equal(records.length, 1);
});

test('a dropped one leaves nothing but its record', (t, member) => {
  const p = point('gone');
  member.run('groupPark', { point: p });
  member.run('groupSave', { point: p });
  t.equal(member.run('groupDrop', { key: p.key }), 'done');
  t.same(member.names(), []);
  t.equal(member.outcome(() => member.commands.run('save', { name: 'gone' }, 'cli'))(), 'done');
  t.match(member.fixture.volume.history(10), [{ outcome: 'dropped' }, { outcome: 'saved' }]);
});

test('changes are let go, whoever has died', (t, member) => {
  const late = point('late');
  member.run('groupPark', { point: late });
  for (const run of member.timers.splice(0)) run();
  t.notOk(member.isHeld, 'by the timer');
  t.match(member.run('groupSave', { point: late }), { code: 'group-save-late' });
  member.run('groupPark', { point: point('lost') });
  t.ok(member.isHeld);
  member.member.lost();
  t.notOk(member.isHeld, 'with the thread of the connections');
  t.equal(member.run('groupPark', { point: point('up') }), 'done');
  t.equal(member.run('groupUnpark', undefined), 'done');
  t.notOk(member.isHeld);
  t.same(member.names(), []);
});

test('who waits for its turn when the thread is lost is not parked', (t, member) => {
  member.run('groupPark', { point: point('first') });
  const second = member.asked('groupPark', { point: point('next') });
  t.equal(second(), 'waits');
  member.member.lost();
  t.match(second(), { code: 'group-save-late' });
  t.notOk(member.isHeld);
});

test('what can not be saved is not parked', (t, member) => {
  member.fixture.save('taken');
  t.match(member.run('groupPark', { point: point('taken') }), { code: 'snapshot-exists' });
  t.match(member.run('groupPark', { point: point('a/b') }), { code: 'bad-snapshot-name' });
  member.fixture.volume.roles.demote(undefined, 'cli');
  t.match(member.run('groupPark', { point: point('x') }), { code: 'standby' });
  t.notOk(member.isHeld);
});

test('commit records are stored; a removed peer takes its points along', (t, member) => {
  member.run('groupCommit', { key: 'k', directors: ['a', 'b'] });
  member.reopen();
  t.same(member.member.stored().commits, [{ key: 'k', directors: ['a', 'b'] }]);
  t.equal(member.run('groupForget', { key: 'k' }), 'done');
  t.same(member.member.stored().commits, []);
  const p = point('theirs');
  const mine = point('mine', member.fixture.volume.uuid);
  for (const each of [p, mine]) {
    member.run('groupPark', { point: each });
    member.run('groupSave', { point: each });
  }
  member.run('groupCommit', { key: mine.key, directors: [OTHER] });
  member.member.peerRemoved(OTHER);
  member.fixture.flush();
  t.same(member.member.stored(), { tentative: [], commits: [] });
  t.same(member.names(), ['mine']);
});
