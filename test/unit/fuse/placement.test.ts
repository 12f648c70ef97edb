/** When the serving thread shares a processor with the program that it serves. */
import t from 'tap';
import { Placement, WINDOW } from '../../../src/fuse/cpu/placement.js';

const PROGRAM = 100;

/** A machine on which a request takes `apartUs`, or `sharingUs` on a shared processor. */
function machine(apartUs: number, sharingUs: number, canEnter = true) {
  let nowMs = 0;
  const calls: string[] = [];
  let beats = 0;
  const placement = new Placement(
    {
      enter: (pid) => {
        if (calls.at(-1) !== `enter ${pid}`) calls.push(`enter ${pid}`);
        return canEnter;
      },
      leave: () => void calls.push('leave'),
      beat: () => void beats++,
    },
    () => nowMs,
  );
  const cost = { apartUs, sharingUs };
  const serve = (windows: number, pids: readonly number[] = [PROGRAM]): number => {
    let shared = 0;
    for (let i = 0; i < windows * WINDOW; i++) {
      nowMs += (placement.isSharing ? cost.sharingUs : cost.apartUs) / 1000;
      placement.served(pids[i % pids.length] ?? 0);
      if (placement.isSharing) shared++;
    }
    return shared / (windows * WINDOW);
  };
  return { placement, calls, serve, cost, beats: () => beats };
}

t.test('one program shares soon, and stays while that is faster', async (t) => {
  const m = machine(30, 10);
  m.serve(1);
  t.equal(m.placement.isSharing, false, 'not after some requests');
  t.ok(m.serve(1000) > 0.99);
  t.same(m.calls, [`enter ${PROGRAM}`]);
  t.ok(m.beats() > 900 * WINDOW);
});

t.test('slower sharing is given up, and tried again later', async (t) => {
  const m = machine(20, 60);
  t.ok(m.serve(1000) < 0.3);
  t.equal(m.calls[1], 'leave');
  t.ok(m.calls.length > 4, 'tried again');
  m.cost.apartUs = 30;
  m.cost.sharingUs = 10;
  m.serve(200);
  t.ok(m.serve(500) > 0.95, 'and kept as soon as it pays');
});

t.test('a request that waits for a disk ends sharing', async (t) => {
  const m = machine(30, 10);
  m.serve(20);
  t.equal(m.placement.isSharing, true);
  m.placement.waited();
  t.equal(m.placement.isSharing, false);
  for (let i = 0; i < 10; i++) {
    m.serve(1);
    m.placement.waited();
  }
  t.equal(m.placement.isSharing, false, 'not while it goes on');
  m.serve(20);
  t.equal(m.placement.isSharing, true);
  m.placement.waited();
  t.equal(m.calls.at(-1), 'leave');
});

t.test('two programs at once keep their own processors', async (t) => {
  const m = machine(30, 10);
  t.equal(m.serve(100, [PROGRAM, PROGRAM + 1]), 0);
  m.serve(20);
  t.equal(m.placement.isSharing, true);
  m.serve(2, [PROGRAM, PROGRAM + 1]);
  t.equal(m.placement.isSharing, false, 'also when the second one comes later');
});

t.test('requests for which no program waits do not count as others', async (t) => {
  const m = machine(30, 10);
  t.ok(m.serve(100, [PROGRAM, 0, 0]) > 0.9);
});

t.test('a pause ends sharing; the program comes back to it sooner', async (t) => {
  const m = machine(30, 10);
  m.serve(50);
  m.placement.rested(1);
  t.equal(m.placement.isSharing, true, 'a short one does not');
  m.placement.rested(50);
  t.equal(m.placement.isSharing, false);
  m.serve(1);
  t.equal(m.placement.isSharing, true);
});

t.test("a thread that can't be moved stays", async (t) => {
  const m = machine(30, 10, false);
  t.equal(m.serve(100), 0);
  t.notOk(m.calls.includes('leave'));
});
