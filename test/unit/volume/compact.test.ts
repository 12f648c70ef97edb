/** Compacting a volume: no view reads anything else afterwards. */
import t from 'tap';
import { testSeed } from '../../mount/harness.js';
import { S_IFMT, S_IFREG } from '../../../src/lib/file-mode.js';
import { codeOf } from './code-of.js';
import { pathsOf, RandomHistory } from './random-history.js';
import { VolumeFixture } from './volume-fixture.js';

const SEED = Number.parseInt(testSeed(t), 16);

function everything(fixture: VolumeFixture): string[] {
  const { volume } = fixture;
  const views = [
    { name: '', view: volume.live },
    ...volume.snapshots().map(({ name }) => ({ name, view: fixture.view(name) })),
  ];
  return views.flatMap(({ name, view }) =>
    pathsOf(fixture, view).map((path) => {
      const inode = fixture.at(path, view);
      const bytes = (inode.mode & S_IFMT) === S_IFREG ? fixture.content(inode, view) : '';
      return `${name}/${path} ${inode.ino} ${inode.size} ${bytes}`;
    }),
  );
}

/** Whatever the history keeps of its own: this nobody holds any more. */
function freeSomething(fixture: VolumeFixture): void {
  fixture.write('freed', Buffer.alloc(3_000_000, 1));
  fixture.save('held');
  fixture.unlink('freed');
  fixture.flush();
  fixture.volume.deleteSnapshot('held', 'test');
}

t.test('every view reads the same', async (t) => {
  for (let run = 0; run < 2; run++) {
    const fixture = new VolumeFixture(t);
    const history = new RandomHistory(fixture, SEED + run);
    const given: number[] = [];
    for (let round = 0; round < 4; round++) {
      if (fixture.find('ballast')?.isDirectory !== true)
        fixture.write('ballast', Buffer.alloc(3_000_000, round + 1));
      for (let i = 0; i < 40; i++) history.step();
      fixture.save(`round-${round}`);
      const ballast = fixture.find('ballast');
      if (ballast !== undefined && !ballast.isDirectory) fixture.unlink('ballast');
      const old = fixture.volume.snapshots().find(({ name }) => name === `round-${round - 2}`);
      if (old !== undefined) fixture.volume.deleteSnapshot(old.name, 'test');
      freeSomething(fixture);
      fixture.flush();
      const before = everything(fixture);
      fixture.volume.compact().settled(
        ({ givenBytes }) => given.push(Number(givenBytes)),
        (error) => t.fail(String(error)),
      );
      t.same(everything(fixture), before, `seed ${SEED + run}, round ${round}`);
      if (round === 2) fixture.close();
    }
    t.equal(given.length, 4);
    t.ok(
      given.some((bytes) => bytes > 1_000_000),
      `gave ${given.join()}`,
    );
    t.equal(fixture.volume.compactProgress, undefined);
    t.same(fixture.check().findings, []);
  }
});

t.test('what the disk has comes back before the file grows on', async (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  const write = (name: string): void => {
    for (let i = 0; i < 32; i++) {
      fixture.write(`${name}-${i}`, Buffer.alloc(1_000_000, i + 1));
      fixture.flush();
    }
  };
  write('first');
  for (let i = 0; i < 32; i++) fixture.unlink(`first-${i}`);
  fixture.flush();
  volume.compact();
  const { lentBytes } = volume.space();
  t.ok(lentBytes > 25_000_000, `${lentBytes} bytes are lent`);
  write('second');
  fixture.collect();
  t.ok(volume.space().lentBytes < lentBytes - 20_000_000, `then ${volume.space().lentBytes}`);
  fixture.close();
  t.same(fixture.check().findings, []);
});

t.test('one at a time, and not on a volume that can not be written', async (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  const { sink } = volume.core;
  const { compact } = sink;
  sink.compact = () => undefined;
  let ended = '';
  volume.compact().settled(
    () => undefined,
    (error) => {
      ended = (error as { code: string }).code;
    },
  );
  t.equal(
    codeOf(() => volume.compact()),
    'compact-running',
  );
  t.match(volume.compactProgress, { phase: 'collect', done: 0 });
  volume.core.compacting.reported(
    { phase: 'done', givenBytes: 0, plannedBytes: 0, failure: -95 },
    sink.space(),
  );
  t.equal(ended, 'cannot-punch');
  volume.compact().settled(
    () => undefined,
    (error) => {
      ended = (error as { code: string }).code;
    },
  );
  sink.compact = compact;
  fixture.close();
  t.equal(ended, 'compact-ended');
});
