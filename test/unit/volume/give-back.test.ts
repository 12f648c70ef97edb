/**
 * Space given back after an apply (rules G1–G7): the base has the bytes of files
 * that the tree made, no view reads anything differently, and before the base
 * changes the bytes come back.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FsError } from '../../../src/lib/errors.js';
import { workNow } from '../../../src/lib/work.js';
import { isBaseNumber, TABLE } from '../../../src/format/records/tables.js';
import { inodeOf } from '../../../src/format/records/keys.js';
import { type GivenBack, giveBack } from '../../../src/volume/apply/give-back.js';
import { undoApply } from '../../../src/volume/apply/undo-apply.js';
import { freezeBase } from '../../../src/volume/freeze/freeze.js';
import { diffViews } from '../../../src/volume/diff/diff.js';
import { assertSame, receive, shownOf, streamOf } from '../sync/stream-trees.js';
import { applyAll, hostOf } from './apply-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

const BLOCK = 4096;

function bytes(seed: number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + seed * 31 + (i >> 8)) % 251 || 1));
}

function based(t: Test): VolumeFixture {
  return new VolumeFixture(t, {}, (base) => fs.mkdirSync(join(base, 'd')));
}

function give(fixture: VolumeFixture, paths: readonly string[] = []): GivenBack {
  const given = workNow(giveBack(fixture.volume, paths, hostOf(fixture)), () => fixture.flush());
  fixture.flush();
  fixture.collect();
  return given;
}

/** Stored blocks of files that the tree made. */
function blocks(fixture: VolumeFixture): number {
  fixture.flush();
  const range = fixture.volume.store.range(TABLE.blocks, undefined, undefined, { keysOnly: true });
  return [...range].filter(({ key }) => !isBaseNumber(inodeOf(key))).length;
}

function sound(t: Test, fixture: VolumeFixture): void {
  fixture.collect();
  t.strictSame(fixture.check().findings, []);
}

function contentIn(fixture: VolumeFixture, path: string, snapshot?: string): string {
  const view = snapshot === undefined ? fixture.volume.live : fixture.view(snapshot);
  return fixture.content(fixture.at(path, view), view);
}

t.test('an applied file gives its blocks back, and every view reads what it read', async (t) => {
  const fixture = based(t);
  const first = bytes(1, 10 * BLOCK + 5);
  const second = Buffer.from(first);
  bytes(2, 100).copy(second, 5 * BLOCK);
  fixture.write('d/f', first);
  fixture.write('small', 'small');
  fixture.save('one');
  fixture.write('d/f', bytes(2, 100), 5 * BLOCK);
  fixture.save('two');
  fixture.save('three');
  applyAll(fixture);
  t.equal(blocks(fixture), 13);
  t.strictSame(give(fixture), { files: 1, bytes: 11 * BLOCK });
  t.equal(blocks(fixture), 12, 'what the older snapshot reads stays, and small files do');
  const reads = (): void => {
    t.equal(contentIn(fixture, 'd/f', 'one'), first.toString('latin1'));
    for (const name of ['two', 'three', undefined]) {
      t.equal(contentIn(fixture, 'd/f', name), second.toString('latin1'), name ?? 'live');
    }
  };
  reads();
  sound(t, fixture);
  t.strictSame(give(fixture), { files: 0, bytes: 0 }, 'once is enough');
  fixture.close();
  reads();
  t.strictSame([...diffViews(fixture.volume, fixture.view('two'), fixture.view('three'))], []);
  t.equal([...diffViews(fixture.volume, fixture.view('one'), fixture.view('two'))].length, 1);
  fixture.volume.deleteSnapshot('one', 'test');
  fixture.flush();
  fixture.collect();
  t.equal(blocks(fixture), 1, 'nobody else reads them');
  t.equal(contentIn(fixture, 'd/f', 'two'), second.toString('latin1'));
  sound(t, fixture);
});

t.test('a file that gave its bytes is written, cut and made longer', async (t) => {
  const fixture = based(t);
  const whole = bytes(3, 6 * BLOCK + 100);
  fixture.write('f', whole);
  // Something that is older, and must not come back.
  fixture.truncate('f', BLOCK + 7);
  fixture.truncate('f', 3 * BLOCK);
  fixture.write('f', bytes(4, 5 * BLOCK), BLOCK);
  fixture.save('one');
  applyAll(fixture);
  t.equal(give(fixture).files, 1);
  t.equal(blocks(fixture), 0);
  const wanted = Buffer.from(contentIn(fixture, 'f'), 'latin1');
  const change = (offset: number, data: Buffer): void => {
    fixture.write('f', data, offset);
    data.copy(wanted, offset);
  };
  change(2 * BLOCK + 10, bytes(5, 50));
  change(5 * BLOCK - 3, bytes(6, 6));
  t.equal(contentIn(fixture, 'f'), wanted.toString('latin1'), 'written');
  fixture.save('two');
  t.equal(blocks(fixture), 3);
  fixture.truncate('f', 2 * BLOCK + 30);
  fixture.truncate('f', 6 * BLOCK);
  wanted.fill(0, 2 * BLOCK + 30);
  t.equal(contentIn(fixture, 'f'), wanted.toString('latin1'), 'cut');
  // More cuts than a record has room for.
  const cuts = new Map<string, string>();
  for (let i = 9; i > 0; i--) {
    fixture.truncate('f', BLOCK + i * 100);
    fixture.truncate('f', 6 * BLOCK);
    fixture.write('f', 'x', 4 * BLOCK);
    fixture.save(`cut${i}`);
    cuts.set(`cut${i}`, contentIn(fixture, 'f'));
  }
  const end = contentIn(fixture, 'f');
  sound(t, fixture);
  applyAll(fixture);
  t.ok(contentIn(fixture, 'f') === end, 'the bytes came back');
  for (const [name, wanted] of cuts) t.ok(contentIn(fixture, 'f', name) === wanted, name);
  fixture.restore('one');
  t.equal(contentIn(fixture, 'f', 'one'), contentIn(fixture, 'f'));
  sound(t, fixture);
});

t.test('before the base changes, the bytes come back into the volume', async (t) => {
  const fixture = based(t);
  const content = bytes(7, 4 * BLOCK);
  for (const name of ['d/moved', 'renamed', 'mode', 'removed', 'linked', 'undone']) {
    fixture.write(name, content);
  }
  fixture.save('one');
  applyAll(fixture);
  t.equal(give(fixture).files, 6);
  t.equal(blocks(fixture), 0);
  fixture.rename('d', 'elsewhere');
  fixture.rename('renamed', 'other');
  fixture.volume.setAttributes(fixture.at('mode').ino, { mode: 0o600 });
  fixture.unlink('removed');
  fixture.link('linked', 'link');
  fixture.save('two');
  applyAll(fixture);
  fixture.collect();
  t.equal(blocks(fixture), 5 * 4, 'of files that the apply touched');
  const reads = (): void => {
    const names = ['d/moved', 'renamed', 'mode', 'removed', 'linked', 'undone'];
    for (const name of names) {
      t.equal(contentIn(fixture, name, 'one'), content.toString('latin1'), name);
    }
    for (const name of ['elsewhere/moved', 'other', 'mode', 'linked', 'link', 'undone']) {
      t.equal(contentIn(fixture, name), content.toString('latin1'), name);
    }
  };
  reads();
  sound(t, fixture);
  t.equal(give(fixture).files, 4);
  for (let i = 0; i < 2; i++) {
    const plan = fixture.volume.planBaseUndo('back');
    if (plan === undefined) throw new Error('an apply is undone');
    const how = { ours: true, source: 'test' };
    workNow(undoApply(fixture.volume, plan, how, hostOf(fixture)), () => fixture.flush());
    reads();
    sound(t, fixture);
  }
  t.strictSame(fs.readdirSync(fixture.basePath), ['d'], 'nothing of it is in the base');
  fixture.close();
  reads();
});

t.test('after a freeze nothing is read from the base', async (t) => {
  const fixture = based(t);
  const content = bytes(8, 4 * BLOCK);
  fixture.write('f', content);
  fixture.save('one');
  applyAll(fixture);
  t.equal(give(fixture).files, 1);
  fixture.write('f', 'changed', BLOCK);
  fixture.save('two');
  const wanted = contentIn(fixture, 'f');
  const host = {
    ...hostOf(fixture),
    isStopped: () => false,
    isForced: false,
    reader: { uid: 0, groups: new Set<number>() },
    source: 'test',
  };
  const { base } = workNow(freezeBase(fixture.volume, host), () => fixture.flush());
  base?.close();
  fs.rmSync(join(fixture.basePath, 'f'));
  t.equal(contentIn(fixture, 'f', 'one'), content.toString('latin1'));
  t.equal(contentIn(fixture, 'f'), wanted);
  t.equal(blocks(fixture), 5);
  sound(t, fixture);
});

t.test('what others change in the base is an error, and never a mix', async (t) => {
  const fixture = based(t);
  const content = bytes(9, 4 * BLOCK);
  fixture.write('f', content);
  fixture.write('g', content);
  fixture.save('one');
  applyAll(fixture);
  give(fixture);
  fixture.write('f', 'changed', BLOCK);
  fixture.flush();
  fs.appendFileSync(join(fixture.basePath, 'f'), 'theirs');
  for (const name of ['one', undefined]) {
    t.throws(() => contentIn(fixture, 'f', name), { code: 'EIO' });
  }
  const mismatches = fixture.volume.status()['baseMismatches'] as { path: string }[];
  t.strictSame(
    mismatches.map(({ path }) => path),
    ['f'],
  );
  t.equal(contentIn(fixture, 'g', 'one'), content.toString('latin1'));
  t.strictSame(
    fixture.check().findings.map(({ rule }) => rule),
    ['D10'],
  );
  fixture.truncate('f', 0);
  fixture.write('f', 'all of it is new');
  t.equal(contentIn(fixture, 'f'), 'all of it is new');
  fixture.volume.deleteSnapshot('one', 'test');
  applyAll(fixture);
  t.equal(fs.readFileSync(join(fixture.basePath, 'f'), 'utf8'), 'all of it is new');
});

t.test('who changed since the apply, or is not what the base has, keeps its blocks', async (t) => {
  const fixture = based(t);
  const content = bytes(10, 4 * BLOCK);
  for (const name of ['later', 'theirs', 'sparse', 'd/one', 'plain']) fixture.write(name, content);
  fixture.write('sparse', 'end', 40 * BLOCK);
  applyAll(fixture);
  fixture.write('later', 'changed');
  fs.writeFileSync(join(fixture.basePath, 'theirs'), bytes(11, 4 * BLOCK));
  t.strictSame(give(fixture, ['d']), { files: 1, bytes: 4 * BLOCK }, 'only below a path');
  t.strictSame(give(fixture), { files: 1, bytes: 4 * BLOCK });
  for (const name of ['theirs', 'd/one', 'plain']) {
    t.equal(contentIn(fixture, name), content.toString('latin1'), name);
  }
  sound(t, fixture);
});

t.test('a branch from before the apply keeps what it reads', async (t) => {
  const fixture = based(t);
  const content = bytes(12, 4 * BLOCK);
  fixture.write('f', content);
  fixture.flush();
  fixture.volume.branchCommands.fork('side', { branch: 'main' }, 'test');
  fixture.flush();
  const side = fixture.volume.at('side');
  const { ino } = fixture.at('f');
  side.write(ino, BLOCK, Buffer.from('side'));
  const wanted = Buffer.from(content);
  wanted.write('side', BLOCK);
  const sideReads = (): void => {
    const out = Buffer.alloc(content.length);
    const inode = side.inode(side.live, ino);
    if (inode === undefined) throw new Error('the branch has the file');
    side.read(side.live, inode, 0, out.length, out, 0);
    t.ok(out.equals(wanted), 'the branch');
  };
  applyAll(fixture);
  t.equal(give(fixture).files, 0, 'the branch has a newer record');
  sideReads();
  fixture.write('f', content.subarray(0, 10));
  applyAll(fixture);
  t.equal(give(fixture).files, 1);
  t.equal(contentIn(fixture, 'f'), content.toString('latin1'));
  sideReads();
  sound(t, fixture);
});

t.test('a stream sends from the base what it has', async (t) => {
  const source = based(t);
  const target = new VolumeFixture(t);
  const content = bytes(13, 6 * BLOCK);
  source.write('f', content);
  source.write('cut', content);
  source.save('one');
  receive(target, streamOf(source, 'one'));
  source.write('f', 'changed', 2 * BLOCK);
  source.truncate('cut', BLOCK + 1);
  source.truncate('cut', 6 * BLOCK);
  source.save('two');
  applyAll(source);
  // The file that was cut has more holes than data.
  t.equal(give(source).files, 1);
  const follows = (to: string, from?: string): void => {
    receive(target, streamOf(source, to, from));
    assertSame(shownOf(source, to), shownOf(target, to));
    sound(t, target);
  };
  follows('two', 'one');
  source.write('f', 'again', 3 * BLOCK);
  source.save('three');
  follows('three', 'two');
  applyAll(source);
  give(source);
  source.restore('one');
  source.save('four');
  follows('four', 'three');
  source.restore('three');
  source.save('five');
  follows('five', 'four');
  const whole = new VolumeFixture(t);
  receive(whole, streamOf(source, 'five'));
  assertSame(shownOf(source, 'five'), shownOf(whole, 'five'));
});

t.test('a base that can not be read gives no bytes', async (t) => {
  const fixture = based(t);
  fixture.write('f', bytes(14, 2 * BLOCK));
  fixture.flush();
  applyAll(fixture);
  give(fixture);
  fs.rmSync(join(fixture.basePath, 'f'));
  t.throws(() => contentIn(fixture, 'f'), FsError);
});
