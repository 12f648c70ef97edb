/** `diff`: single cases, and random histories against a comparison of everything. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type DiffLine, diffSummary, diffViews } from '../../../src/volume/diff/diff.js';
import { joinPath } from '../../../src/volume/names/inode-reader.js';
import type { View } from '../../../src/volume/view.js';
import { pathsOf, RandomHistory } from './random-history.js';
import { allocate } from '../../../src/tree/live/space.js';
import { VolumeFixture } from './volume-fixture.js';

function shown({ kind, path, oldPath, type, details }: DiffLine): string {
  const from = oldPath === undefined ? '' : `${oldPath} -> `;
  return `${kind} ${type} ${from}${path}${details === undefined ? '' : ` (${details.join()})`}`;
}

/** Lines from a snapshot to the live tree. */
function since(fixture: VolumeFixture, name: string): string[] {
  fixture.flush();
  const { volume } = fixture;
  return [...diffViews(volume, fixture.view(name), volume.live)].map(shown);
}

t.test('some paths only, and whole directories folded', (t) => {
  const fixture = new VolumeFixture(t);
  for (const name of ['old', 'old/sub', 'kept', 'kept-too']) fixture.mkdir(name);
  for (const name of ['old/a', 'old/sub/b', 'kept/c', 'kept-too/d']) fixture.write(name, name);
  fixture.save('one');
  for (const name of ['old/a', 'old/sub/b']) fixture.unlink(name);
  for (const name of ['old/sub', 'old']) fixture.rmdir(name);
  for (const name of ['new', 'new/sub', 'kept/fresh']) fixture.mkdir(name);
  for (const name of ['new/a', 'new/sub/b', 'new-file', 'kept/fresh/x']) fixture.write(name, name);
  fixture.rename('kept/c', 'kept-too/c');
  fixture.flush();
  const { volume } = fixture;
  const wanted = (paths: string[] | undefined, fold: boolean): string[] =>
    [...diffViews(volume, fixture.view('one'), volume.live, { fold, ...(paths && { paths }) })].map(
      (line) => `${shown(line)}${line.belowCount === undefined ? '' : ` +${line.belowCount}`}`,
    );
  t.strictSame(wanted(undefined, true), [
    'renamed file kept/c -> kept-too/c',
    'added directory kept/fresh +1',
    'added directory new +3',
    'added file new-file',
    'removed directory old +3',
  ]);
  t.strictSame(wanted(['kept'], false), [
    'renamed file kept/c -> kept-too/c',
    'added directory kept/fresh',
    'added file kept/fresh/x',
  ]);
  t.strictSame(wanted(['new/sub', 'old/a'], true), [
    'added directory new/sub +1',
    'removed file old/a',
  ]);
  t.strictSame(wanted([''], true), wanted(undefined, true), 'the root is everything');
  t.strictSame(wanted(['new-'], true), [], 'no path that only begins alike');
  t.end();
});

t.test('files: added, removed, changed, renamed', (t) => {
  const fixture = new VolumeFixture(t);
  for (const name of ['same', 'changed', 'touched', 'gone', 'moved', 'moved-changed', 'chmod']) {
    fixture.write(name, `${name} content`);
  }
  fixture.symlink('link', 'same');
  fixture.save('one');
  t.strictSame(since(fixture, 'one'), []);
  fixture.write('changed', 'CHANGED');
  const mtime = fixture.at('touched');
  fixture.write('touched', 'touched content');
  fixture.volume.setAttributes(mtime.ino, { mtime: { s: mtime.mtimeS, ns: mtime.mtimeNs } });
  fixture.unlink('gone');
  fixture.rename('moved', 'to');
  fixture.rename('moved-changed', 'to-changed');
  fixture.write('to-changed', 'longer than before, certainly');
  fixture.volume.setAttributes(fixture.at('chmod').ino, { mode: 0o600, uid: 7 });
  fixture.write('new', 'new');
  fixture.unlink('link');
  fixture.symlink('link', 'other');
  fixture.write('came-and-went', 'x');
  fixture.unlink('came-and-went');
  t.strictSame(since(fixture, 'one'), [
    'changed file changed (content,times)',
    'changed file chmod (mode,owner)',
    'removed file gone',
    'changed symlink link (target,times)',
    'added file new',
    'renamed file moved -> to',
    'renamed file moved-changed -> to-changed (content,times)',
  ]);
  fixture.volume.xattrs.set(fixture.at('same').ino, 'user.x', Buffer.from('1'), 0);
  t.ok(since(fixture, 'one').includes('changed file same (xattr)'));
  t.strictSame(diffSummary(diffViews(fixture.volume, fixture.view('one'), fixture.volume.live)), {
    added: 1,
    removed: 1,
    changed: 4,
    renamed: 2,
  });
  t.end();
});

t.test('directories: a rename is one line, what came or went is told whole', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.mkdir('dir');
  fixture.mkdir('dir/sub');
  fixture.write('dir/sub/file', 'x');
  fixture.mkdir('old');
  fixture.mkdir('old/deep');
  fixture.write('old/deep/file', 'x');
  fixture.write('old/kept', 'x');
  fixture.save('one');
  fixture.rename('dir', 'moved');
  t.strictSame(since(fixture, 'one'), ['renamed directory dir -> moved']);
  fixture.write('moved/sub/file', 'y');
  fixture.write('moved/new', 'z');
  fixture.rename('old/kept', 'kept');
  fixture.unlink('old/deep/file');
  fixture.rmdir('old/deep');
  fixture.rmdir('old');
  fixture.mkdir('fresh');
  fixture.write('fresh/file', '1');
  t.strictSame(since(fixture, 'one'), [
    'added directory fresh',
    'added file fresh/file',
    'renamed file old/kept -> kept',
    'renamed directory dir -> moved',
    'added file moved/new',
    'changed file moved/sub/file (content,times)',
    'removed directory old',
    'removed directory old/deep',
    'removed file old/deep/file',
  ]);
  t.end();
});

t.test('replaced: in place, by a rename, by another type, by a directory made anew', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('edited', 'before');
  fixture.write('target', 'target');
  fixture.write('source', 'source');
  fixture.write('typed', 'file');
  fixture.mkdir('dir');
  fixture.write('dir/same', 'same');
  fixture.write('dir/less', 'less');
  fixture.write('log', 'log');
  fixture.save('one');
  fixture.write('edited.tmp', 'after');
  fixture.rename('edited.tmp', 'edited');
  fixture.rename('source', 'target');
  fixture.unlink('typed');
  fixture.mkdir('typed');
  fixture.write('typed/below', 'x');
  const { mtimeS: s, mtimeNs: ns } = fixture.at('dir/same');
  fixture.unlink('dir/same');
  fixture.unlink('dir/less');
  fixture.rmdir('dir');
  fixture.mkdir('dir');
  fixture.write('dir/same', 'same');
  fixture.volume.setAttributes(fixture.at('dir/same').ino, { mtime: { s, ns } });
  fixture.write('dir/more', 'more');
  fixture.rename('log', 'log.1');
  fixture.write('log', 'new log');
  t.strictSame(since(fixture, 'one'), [
    'removed file dir/less',
    'added file dir/more',
    'changed file edited (content,times)',
    'added file log',
    'renamed file log -> log.1',
    'renamed file source -> target (replaced)',
    'changed directory typed (type)',
    'added file typed/below',
  ]);
  t.end();
});

t.test('hard links: each name is told', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('a', 'content');
  fixture.link('a', 'b');
  fixture.write('alone', 'x');
  fixture.save('one');
  fixture.link('a', 'c');
  fixture.unlink('b');
  fixture.link('alone', 'second');
  fixture.write('a', 'CONTENT');
  t.strictSame(since(fixture, 'one'), [
    'changed file a (content,times)',
    'renamed file b -> c (content,times)',
    'added file second (link)',
  ]);
  t.end();
});

t.test('content: same bytes in other blocks, holes, sizes, clips', (t) => {
  const fixture = new VolumeFixture(t);
  for (const name of ['rewritten', 'hole', 'extended', 'cut']) {
    fixture.write(name, 'x'.repeat(300_000));
  }
  fixture.save('one');
  const keepTime = (name: string, body: () => void): void => {
    const { ino, mtimeS: s, mtimeNs: ns } = fixture.at(name);
    body();
    fixture.volume.setAttributes(ino, { mtime: { s, ns } });
  };
  keepTime('rewritten', () => fixture.write('rewritten', 'x'.repeat(100_000), 150_000));
  keepTime('hole', () => allocate(fixture.volume, fixture.at('hole').ino, 100_000, 9, 3));
  keepTime('extended', () => fixture.truncate('extended', 300_001));
  keepTime('cut', () => {
    fixture.truncate('cut', 100);
    fixture.truncate('cut', 300_000);
  });
  t.strictSame(since(fixture, 'one'), [
    'changed file cut (content)',
    'changed file extended (content)',
    'changed file hole (content)',
  ]);
  t.end();
});

t.test('a base: touched, moved, removed and restored trees', (t) => {
  const fixture = new VolumeFixture(t, {}, (base) => {
    fs.mkdirSync(join(base, 'tree/deep'), { recursive: true });
    fs.writeFileSync(join(base, 'tree/deep/file'), 'file');
    fs.writeFileSync(join(base, 'tree/other'), 'other');
    fs.mkdirSync(join(base, 'stays'));
    fs.writeFileSync(join(base, 'stays/file'), 'stays');
    fs.symlinkSync('stays', join(base, 'link'));
  });
  fixture.save('untouched');
  t.strictSame(since(fixture, 'untouched'), []);
  fixture.rename('stays', 'moved');
  fixture.write('moved/file', 'STAYS');
  for (const path of ['tree/deep/file', 'tree/other']) fixture.unlink(path);
  fixture.rmdir('tree/deep');
  fixture.rmdir('tree');
  const wreck = [
    'renamed directory stays -> moved',
    'changed file moved/file (content,times)',
    'removed directory tree',
    'removed directory tree/deep',
    'removed file tree/deep/file',
    'removed file tree/other',
  ];
  t.strictSame(since(fixture, 'untouched'), wreck);
  fixture.collect();
  fixture.close();
  t.strictSame(since(fixture, 'untouched'), wreck, 'collected, opened anew');
  const undo = fixture.restore('untouched') as string;
  t.strictSame(since(fixture, 'untouched'), []);
  fixture.close();
  t.strictSame(
    since(fixture, undo),
    [
      'added directory tree',
      'added directory tree/deep',
      'added file tree/deep/file',
      'added file tree/other',
      'renamed directory moved -> stays',
      'changed file stays/file (content,times)',
    ].sort((a, b) => (key(a) < key(b) ? -1 : 1)),
  );
  t.end();
});

function key(line: string): string {
  return line.replace(/ \(.*/, '').split(' ').at(-1) as string;
}

t.test('costs what changed: 2,000 files beside it are not looked at', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.mkdir('many');
  for (let i = 0; i < 2000; i++) fixture.write(`many/f${i}`, 'x');
  fixture.mkdir('few');
  fixture.save('one');
  fixture.write('few/new', 'x');
  fixture.rename('many', 'moved');
  fixture.flush();
  let reads = 0;
  const { core } = fixture.volume;
  const { newest } = core;
  core.newest = (...args) => {
    reads++;
    return newest.apply(core, args);
  };
  t.strictSame(since(fixture, 'one'), ['added file few/new', 'renamed directory many -> moved']);
  t.ok(reads < 100, `${reads} look-ups`);
  t.end();
});

/** What a person can see of a path. */
function state(fixture: VolumeFixture, view: View, path: string): string {
  const inode = fixture.at(path, view);
  const { volume } = fixture;
  const attributes = volume.listAttributes(view, inode).sort();
  const values = attributes.map((a) => Buffer.from(volume.readAttribute(view, inode, a) ?? []));
  const own = inode.isDirectory
    ? ''
    : `${inode.mtimeS}.${inode.mtimeNs} ${inode.target} ${fixture.content(inode, view)}`;
  return `${inode.mode} ${inode.uid} ${attributes.join()} ${values.join()} ${own}`;
}

/** The lines, applied to the paths of the older view, give those of the newer one. */
function problemsOf(fixture: VolumeFixture, from: View, to: View): string[] {
  const lines = [...diffViews(fixture.volume, from, to)];
  const problems: string[] = [];
  const removed = new Set(lines.filter((l) => l.kind === 'removed').map((l) => l.path));
  const renamed = new Map(lines.filter((l) => l.kind === 'renamed').map((l) => [l.oldPath, l]));
  const told = new Map(lines.filter((l) => l.kind !== 'removed').map((l) => [l.path, l]));
  const now = new Map<string, string>([['', '']]);
  const got = new Set(lines.filter((l) => l.kind === 'added').map((l) => l.path));
  for (const path of pathsOf(fixture, from)) {
    const cut = path.lastIndexOf('/');
    const parent = now.get(cut < 0 ? '' : path.slice(0, cut));
    const target =
      renamed.get(path)?.path ??
      (parent === undefined ? undefined : joinPath(parent, path.slice(cut + 1)));
    if (removed.has(path)) continue;
    if (target === undefined) {
      problems.push(`${path} went with its directory, and is not told`);
      continue;
    }
    now.set(path, target);
    got.add(target);
    const line = told.get(target);
    // Another file took this place.
    if (line?.kind === 'renamed' && line.oldPath !== path) {
      if (line.details?.includes('replaced') !== true) problems.push(`${target}: not replaced`);
      continue;
    }
    if (fixture.find(target, to) === undefined) {
      problems.push(`${path} should be ${target}`);
      continue;
    }
    const isSame = state(fixture, from, path) === state(fixture, to, target);
    const saysSame =
      line === undefined ||
      (line.details ?? []).filter((d) => d !== 'replaced' && d !== 'link').length === 0;
    if (isSame !== saysSame)
      problems.push(`${target}: same ${isSame}, told ${shown(line as DiffLine)}`);
  }
  const expected = pathsOf(fixture, to).sort();
  const found = [...got].sort();
  if (expected.join('\n') !== found.join('\n')) {
    const lost = expected.filter((p) => !got.has(p)).join();
    const extra = found.filter((p) => !expected.includes(p)).join();
    problems.push(`not told: ${lost}; told and not there: ${extra}`);
  }
  const order = lines.map((l) => `${l.path}\0${l.kind}`);
  if ([...order].sort().join() !== order.join()) problems.push('the order');
  if (problems.length > 0) problems.push(...lines.map(shown));
  return problems;
}

t.test('random histories: the lines tell the whole difference', (t) => {
  for (const hasBase of [false, true]) {
    for (let seed = 1; seed <= 12; seed++) {
      const fixture = new VolumeFixture(
        t,
        {},
        hasBase
          ? (base) => {
              fs.mkdirSync(join(base, 'a/b'), { recursive: true });
              fs.writeFileSync(join(base, 'a/b/c'), 'c'.repeat(9000));
              fs.writeFileSync(join(base, 'a/d'), 'd');
              fs.writeFileSync(join(base, 'e'), 'e'.repeat(20_000));
            }
          : undefined,
      );
      const history = new RandomHistory(fixture, seed);
      for (let i = 0; i < 250; i++) history.step();
      fixture.flush();
      const { volume } = fixture;
      const views = [...volume.snapshots().map((s) => volume.viewOf(s)), volume.live];
      const pairs = views.slice(1).map((view, i) => [views[i] as View, view] as const);
      const last = views.at(-1) as View;
      pairs.push([last, views[0] as View], [views[0] as View, last]);
      for (const [from, to] of pairs) {
        const problems = problemsOf(fixture, from, to);
        if (problems.length === 0) continue;
        t.fail(`base ${hasBase} seed ${seed} layer ${from.top} to ${to.top}`, {
          problems,
          log: history.log,
        });
        t.end();
        return;
      }
      const report = fixture.check();
      if (report.count > 0) {
        t.fail(`check: base ${hasBase} seed ${seed}`, {
          findings: report.findings.map((f) => JSON.stringify(f)),
          log: history.log,
        });
        t.end();
        return;
      }
      fixture.close();
    }
  }
  t.pass('24 histories');
  t.end();
});
