/** The order of commands that change the role, on a real volume and with the agent played. */
import t, { type Test } from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import { settledWith } from '../../../src/lib/work.js';
import type { Answer, CommandArguments, CommandName } from '../../../src/control/command.js';
import { VolumeCommands } from '../../../src/daemon/commands/commands.js';
import type { View } from '../../../src/volume/view.js';
import { VolumeFixture } from '../volume/volume-fixture.js';
import { idleParts } from './command-parts.js';

class Side {
  readonly fixture: VolumeFixture;
  /** What the agent was asked, and has not answered yet. */
  readonly asked: { command: string; answer: Deferred<Answer> }[] = [];
  readonly done: string[] = [];
  readonly commands: VolumeCommands<View>;

  constructor(t: Test) {
    this.fixture = new VolumeFixture(t);
    const { volume, clock } = this.fixture;
    this.commands = new VolumeCommands<View>({
      ...idleParts,
      volume,
      restored: () => () => settledWith({}),
      agent: (command) => {
        const answer = new Deferred<Answer>();
        this.asked.push({ command, answer });
        return answer;
      },
      nowMs: () => clock.nowMs(),
      log: () => undefined,
    });
  }

  run(command: CommandName, args: CommandArguments = {}): void {
    const word = [command, ...Object.values(args)].join(' ');
    this.commands.run(command, args, 'test').settled(
      () => this.done.push(word),
      () => this.done.push(`${word} failed`),
    );
    this.#store();
  }

  /** What is stored may let the next command begin, which has something to store itself. */
  #store(): void {
    for (let i = 0; i < 3; i++) this.fixture.flush();
  }

  get waiting(): string[] {
    return this.asked.map(({ command }) => command);
  }

  answer(): void {
    this.asked.shift()?.answer.resolve({});
    this.#store();
  }
}

/** Each ends with `check`. */
function test(name: string, body: (t: Test, side: Side) => void): void {
  t.test(name, async (t) => {
    const side = new Side(t);
    body(t, side);
    side.fixture.flush();
    t.same(side.fixture.check().findings, []);
  });
}

test('one change of the role at a time: nobody is asked before its turn', (t, side) => {
  side.run('revert');
  side.run('promote');
  side.run('demote', { peerName: 'other' });
  side.run('promote', { epoch: 7 });
  side.run('demote');
  t.same(side.waiting, ['switchover']);
  t.same(side.done, []);
  t.notOk(side.commands.isIdle);
  side.answer();
  t.same(side.waiting, ['promote']);
  side.answer();
  t.same(side.waiting, ['demote']);
  t.equal(side.fixture.volume.roles.current.role, 'none', 'also not by hand');
  side.answer();
  t.same(side.done.slice(0, 4), ['revert', 'promote', 'demote other', 'promote 7']);
  t.equal(side.done.length, 5);
  t.ok(side.commands.isIdle);
});

test('a failover waits for no transfer, and nothing waits for a failover', (t, side) => {
  side.run('sync');
  side.run('group-save', { name: 'one', peers: ['other'] });
  side.run('promote');
  t.same(side.waiting, ['sync', 'promote']);
  side.fixture.write('f', 'x');
  side.run('save', { name: 'meanwhile' });
  t.same(side.done, ['save meanwhile']);
  side.answer();
  t.same(side.waiting, ['promote', 'group-save']);
  side.answer();
  side.answer();
  t.equal(side.done.length, 4);
});
