/**
 * The end of the writer thread: whatever ends it, and whether the thread that waits for it goes
 * back to its event loop or not, changes and fsyncs fail, reads go on, and nobody waits for ever.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { exitNow } from '../../../src/libc/libc.js';
import { ROOT_INODE } from '../../../src/format/records/tables.js';
import { type StartWriter, startWriter } from '../../../src/volume/commit/start-writer.js';
import { Volume } from '../../../src/volume/volume.js';
import { WriterSigns } from '../../../src/volume/commit/writer-signs.js';
import { VolumeFixture, WHO } from './volume-fixture.js';

// A thread that never ends would be waited for at the end of this process.
process.once('exit', (code) => exitNow(code));

const NO_WAKE = -1;
/** Far below the time limits of a start and of a close. */
const SOON_MS = 5000;
const EIO = { code: 'EIO' };
const LOST = { code: 'writer-lost', errno: 'EIO' };

class Threaded {
  readonly fixture: VolumeFixture;
  readonly volume: Volume;
  readonly told: string[] = [];
  worker: Worker | undefined;

  constructor(t: Test) {
    this.fixture = new VolumeFixture(t);
    this.fixture.write('kept', 'stored');
    this.fixture.close();
    const start: StartWriter = (data) => {
      const { worker, hasStopped } = startWriter(data, (why) => this.told.push(why));
      this.worker = worker;
      return hasStopped;
    };
    const { path, clock } = this.fixture;
    this.volume = Volume.open({ path, clock, writer: { kind: 'thread', wakeFd: NO_WAKE, start } });
  }

  /** Of a thread that was never seen running it can't be told that it has stopped. */
  async runs(): Promise<void> {
    while (this.worker?.performance.eventLoopUtilization().active === 0) await sleep(10);
  }

  kept(): string {
    const { volume } = this;
    const root = volume.inode(volume.live, ROOT_INODE);
    const inode = root && volume.lookup(volume.live, root, 'kept');
    const out = Buffer.alloc(100);
    return out.toString('latin1', 0, inode && volume.read(volume.live, inode, 0, 100, out, 0));
  }

  create(name: string): void {
    this.volume.create(WHO, ROOT_INODE, name, { mode: 0o100644 });
  }

  /** What must hold from the moment on at which the volume knows. */
  checkFailed(t: Test): void {
    const { volume } = this;
    t.ok(volume.beginChange(), 'what was parked is not parked any more');
    t.throws(() => this.create('late'), EIO);
    volume.durable().settled(
      () => t.fail('an fsync was answered'),
      (error) => t.match(error, EIO),
    );
    t.match(volume.status(), { failure: /the writer thread has ended/ });
    t.equal(this.kept(), 'stored', 'reads go on');
    const startMs = Date.now();
    t.throws(() => volume.close(), LOST);
    t.ok(Date.now() - startMs < SOON_MS, 'closing waits for nobody');
    t.same(this.fixture.check().findings, []);
  }
}

t.test('the event loop of who started it turns', async (t) => {
  const threaded = new Threaded(t);
  const { volume, worker } = threaded;
  threaded.create('new');
  const waiting = volume.whenCommitted(volume.commit());
  let answer: unknown = 'none';
  waiting.settled(
    () => (answer = 'stored'),
    (error) => (answer = error),
  );
  // In the middle of a transaction it never ends: LMDB's package waits for the thread's own lock.
  void worker?.terminate();
  for (let i = 0; i < 200 && threaded.told.length === 0; i++) await sleep(50);
  volume.pump();
  if (answer !== 'stored') t.match(answer, EIO, 'who waited hears of it');
  volume.pump();
  t.match(threaded.told, [/without a word|V8 has stopped it/], 'who started it hears why, once');
  t.equal(threaded.told.length, 1);
  threaded.checkFailed(t);
});

t.test('the thread that waits is the one that started it', async (t) => {
  const threaded = new Threaded(t);
  const { volume, worker } = threaded;
  await threaded.runs();
  threaded.create('new');
  void worker?.terminate();
  const startMs = Date.now();
  t.throws(() => volume.flush(), LOST);
  t.ok(Date.now() - startMs < SOON_MS, `heard of after ${Date.now() - startMs} ms`);
  threaded.checkFailed(t);
});

t.test('it ends while the volume is being opened or closed', async (t) => {
  const fixture = new VolumeFixture(t);
  const { path, clock } = fixture;
  const start: StartWriter = ({ signs }) => {
    new WriterSigns(signs).ended('out of memory');
    return undefined;
  };
  const open = (): Volume =>
    Volume.open({ path, clock, writer: { kind: 'thread', wakeFd: NO_WAKE, start } });
  const openMs = Date.now();
  t.throws(open, { ...LOST, message: /out of memory/ });
  t.ok(Date.now() - openMs < SOON_MS, 'opening waits for nobody');
  const threaded = new Threaded(t);
  const { volume, worker } = threaded;
  volume.flush();
  await threaded.runs();
  const closeMs = Date.now();
  void worker?.terminate();
  t.throws(() => volume.close(), LOST);
  t.ok(Date.now() - closeMs < SOON_MS, 'nor does closing');
  await sleep(0);
});

t.test('one that was asked to end is not lost', async (t) => {
  const threaded = new Threaded(t);
  threaded.create('new');
  threaded.volume.close();
  for (let i = 0; i < 100 && threaded.worker?.threadId !== -1; i++) await sleep(10);
  t.equal(threaded.worker?.threadId, -1, 'it has ended');
  t.same(threaded.told, []);
});
