/** Two kinds of messages over one set of links, and what is passed on between peers of a peer. */
import t from 'tap';
import type { GroupMessage } from '../../src/sync/group/group-messages.js';
import { isGroupMessage } from '../../src/sync/group/group-parsing.js';
import { PeerChannels, type PeerMessage } from '../../src/sync/peers/peer-channels.js';

/** `hub` is linked with `x` and `y`, which are not linked with each other. */
const NEAR: Record<string, string[]> = { hub: ['x', 'y'], x: ['hub'], y: ['hub'] };

function star() {
  const handlers = new Map<string, (from: string, message: PeerMessage) => void>();
  const heard: string[] = [];
  const send = (from: string, to: readonly string[], message: unknown): void => {
    for (const peer of to) {
      // Where there is no link, it is lost.
      if (peer !== from && NEAR[from]?.includes(peer) !== true) continue;
      handlers.get(peer)?.(from, JSON.parse(JSON.stringify(message)) as PeerMessage);
    }
  };
  const channels = Object.keys(NEAR).map((name) => {
    const made = new PeerChannels(name, {
      send: (to, message) => send(name, to, message),
      receive: (handler) => void handlers.set(name, handler),
      isUp: (peer) => NEAR[name]?.includes(peer) === true,
    });
    made.agent.receive((from) => heard.push(`${name}: agent ${from}`));
    made.group.receive((from, { kind }) => heard.push(`${name}: ${kind} ${from}`));
    return [name, made] as const;
  });
  return { heard, send, on: new Map(channels) };
}

const saved = (initiator: string): GroupMessage => ({ kind: 'saved', about: `${initiator}/1/1` });

t.test('each kind arrives where it belongs', async (t) => {
  const { heard, on } = star();
  on.get('x')?.agent.send(['hub'], { kind: 'news' } as never);
  on.get('hub')?.group.send(['hub', 'x'], { kind: 'greet', greeting: 'g' });
  t.same(heard, ['hub: agent x', 'hub: greet hub', 'x: greet hub']);
});

t.test('the one who asked passes on what its own points are about', async (t) => {
  const { heard, on, send } = star();
  on.get('x')?.group.send(['hub', 'y'], saved('hub'));
  t.same(heard.splice(0), ['hub: saved x', 'y: saved x']);
  on.get('x')?.group.send(['y'], saved('x'));
  on.get('x')?.group.send(['y'], saved('y'));
  t.same(heard, [], 'there is no way to who is not linked');
  send('x', ['hub'], { group: { message: saved('x'), to: ['y'] } });
  send('hub', ['y'], { group: { message: saved('x'), by: 'x' } });
  t.same(heard, [], 'nobody passes on or takes what is about the points of somebody else');
});

t.test('what is no message is not heard', async (t) => {
  const { heard, send } = star();
  const point = { key: 'hub/1/1', name: 'n', initiator: 'hub', selected: [['x', 1]], parkMaxMs: 9 };
  const shown = { incarnation: 1, sequence: 1, isWaiting: true, blamed: {} };
  const key = { kind: 'key', about: 'hub/1/1', key: 'hub/1/1', ...shown };
  t.ok(isGroupMessage({ kind: 'prepare', point }));
  t.ok(isGroupMessage(key));
  for (const message of [
    null,
    {},
    { kind: 'saved' },
    { kind: 'saved', about: 7 },
    { kind: 'outcome', about: 'hub/1/1', outcome: 'maybe' },
    { kind: 'prepare', point: { ...point, key: 'x/1/1' } },
    { kind: 'prepare', point: { ...point, selected: [['x']] } },
    { kind: 'prepare', point: { ...point, parkMaxMs: 1e300 } },
    { kind: 'prepare', point: { ...point, parkMaxMs: 60_001 } },
    { kind: 'prepare', point: { ...point, selected: [['x', 2 ** 53 - 1]] } },
    { kind: 'greeted', greeting: 'g', incarnation: 2 ** 53 - 1 },
    { ...key, isWaiting: 1 },
    { ...key, incarnation: 2 ** 53 - 1 },
    { ...key, sequence: 2 ** 53 - 1 },
  ]) {
    send('hub', ['x'], { group: { message } });
  }
  for (const message of [null, 'x', {}, { group: null }, { group: 7 }, { other: {} }]) {
    send('hub', ['x'], message);
  }
  t.same(heard, []);
});
