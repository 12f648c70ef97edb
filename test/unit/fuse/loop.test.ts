/** The serving loop's parts that need no mount: timers, jobs, ports, the spin. */
import { MessageChannel } from 'node:worker_threads';
import t from 'tap';
import { BusyPoll } from '../../../src/fuse/loop/busy-poll.js';
import { ServeLoop } from '../../../src/fuse/loop/serve-loop.js';
import { Timers } from '../../../src/fuse/loop/timers.js';
import { close } from '../../../src/libc/libc.js';
import { eventfd, eventfdSignal } from '../../../src/libc/poll.js';

t.test('timers run when due, in order, and can be cancelled from inside', (t) => {
  const timers = new Timers();
  const ran: string[] = [];
  timers.add(0, 20, () => ran.push('late'));
  const victim = timers.add(0, 12, () => ran.push('never'));
  timers.add(0, 10, () => {
    ran.push('early');
    timers.cancel(victim);
    timers.add(10, 5, () => ran.push('added'));
  });
  t.equal(timers.waitMs(4), 6);
  timers.runDue(9);
  t.same(ran, []);
  timers.runDue(14);
  t.same(ran, ['early']);
  timers.runDue(100);
  t.same(ran, ['early', 'added', 'late']);
  t.equal(timers.waitMs(0), Number.POSITIVE_INFINITY);
  t.end();
});

t.test('the spin grows with success and shrinks to nothing', (t) => {
  const poll = new BusyPoll(50);
  t.equal(poll.spinUs, 0);
  for (let i = 0; i < 5; i++) poll.miss(60);
  t.equal(poll.spinUs, 50, 'requests come soon: worth a spin');
  poll.hit(5);
  t.equal(poll.spinUs, 50);
  for (let i = 0; i < 10; i++) poll.miss(5000);
  t.equal(poll.spinUs, 0, 'they do not: none');
  const off = new BusyPoll(0);
  off.miss(0);
  off.hit(1);
  t.equal(off.spinUs, 0);
  t.end();
});

t.test('messages, timers and jobs', (t) => {
  const wakeFd = eventfd();
  t.teardown(() => close(wakeFd));
  const loop = new ServeLoop({ wakeFd });
  const { port1, port2 } = new MessageChannel();
  const got: unknown[] = [];
  let steps = 0;
  function* job() {
    while (true) {
      steps += 1;
      yield;
    }
  }
  loop.onPort(port2, (message) => {
    got.push(message);
    if (message === 'last') loop.stop();
  });
  const endJob = loop.addJob(job());
  loop.addTimer(5, () => {
    got.push('timer');
    endJob();
    port1.postMessage('last');
    eventfdSignal(wakeFd);
  });
  port1.postMessage('first');
  loop.run();
  t.same(got, ['first', 'timer', 'last']);
  t.ok(steps > 1, 'the job ran in between');
  port1.close();

  const startedUs = process.cpuUsage();
  loop.addTimer(300, () => loop.stop());
  loop.run();
  const usedUs = process.cpuUsage(startedUs);
  t.ok(usedUs.user + usedUs.system < 150_000, 'an idle loop sleeps');
  t.end();
});
