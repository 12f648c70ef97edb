/**
 * `undo`: back, forward again, further back; what it refuses, and what it knows
 * of volumes that an older shadowfs has changed (format.md, rules U1–U4).
 */
import t, { type Test } from 'tap';
import { CommandError } from '../../../src/lib/errors.js';
import { encodeJson } from '../../../src/format/records/values.js';
import { TABLE } from '../../../src/format/records/tables.js';
import { readMeta } from '../../../src/volume/catalog.js';
import type { UndoDirection } from '../../../src/volume/snapshots/undo-line.js';
import { VolumeFixture } from './volume-fixture.js';

class Tree extends VolumeFixture {
  put(text: string): void {
    this.write('file', text.padEnd(8));
    this.flush();
  }

  get text(): string {
    return this.content(this.at('file')).trim();
  }

  undo(direction?: UndoDirection): string {
    this.clock.advance(1000);
    const { direction: went, passed } = this.volume.undo(direction, 'test');
    this.flush();
    return `${went} ${passed.map(({ command, name }) => `${command} ${name}`).join()}: ${this.text}`;
  }

  refusal(direction?: UndoDirection): string {
    try {
      return `not refused: ${this.undo(direction)}`;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return `${error.code}: ${error.message}`;
    }
  }

  /** Saved a and b, and written since. */
  static abc(t: Test, keepUndo = 10): Tree {
    const tree = new Tree(t, { keepUndo });
    for (const name of ['a', 'b']) {
      tree.put(name);
      tree.save(name);
    }
    tree.put('mine');
    return tree;
  }

  end(t: Test): void {
    t.same(this.check().findings, []);
  }
}

t.test('undo takes a restore back, again goes forward, and so on', async (t) => {
  const tree = Tree.abc(t);
  t.match(tree.refusal(), /^nothing-to-undo/);
  tree.restore('a');
  t.same(tree.volume.planUndo(undefined).passed[0]?.name, 'a', 'and a plan moves nothing');
  t.equal(tree.text, 'a');
  t.equal(tree.undo(), 'back restore a: mine');
  t.equal(tree.undo(), 'forward restore a: a');
  tree.put('later');
  t.equal(tree.undo(), 'back restore a: mine');
  t.equal(tree.undo(), 'forward restore a: later', 'what was written after the restore');
  for (let round = 0; round < 30; round++) tree.undo();
  t.equal(tree.text, 'later');
  const undo = tree.volume.snapshots().filter(({ kind }) => kind === 'undo');
  t.ok(undo.length <= 4, `going to and fro leaves no more snapshots: ${undo.length}`);
  tree.end(t);
});

t.test('further back and forward along the line; a new command ends what is ahead', async (t) => {
  const tree = Tree.abc(t);
  tree.restore('a');
  tree.restore('b');
  tree.put('work');
  t.equal(tree.undo(), 'back restore b: a');
  t.equal(tree.undo('back'), 'back restore a: mine');
  t.match(tree.refusal('back'), /^nothing-to-undo: .*everything/);
  t.equal(tree.undo('forward'), 'forward restore a: a');
  t.equal(tree.undo('forward'), 'forward restore b: work');
  t.match(tree.refusal('forward'), /^nothing-to-undo: .*no way forward/);
  t.equal(tree.undo(), 'back restore b: a', 'plain undo: where the tree was before');
  tree.put('other');
  tree.restore('b');
  t.match(tree.refusal('forward'), /^nothing-to-undo/);
  t.equal(tree.undo(), 'back restore b: other');
  t.same(
    tree.volume.undoSteps().map(({ name, isTakenBack }) => [name, isTakenBack]),
    [
      ['a', false],
      ['b', true],
    ],
  );
  tree.end(t);
});

t.test('a save between does not matter, nor does a deleted snapshot', async (t) => {
  const tree = Tree.abc(t);
  tree.save('c');
  const undo = tree.restore('a');
  t.match(undo, /^undo-.*Z$/, 'right after a save, too: that snapshot may be deleted');
  tree.save('d');
  tree.volume.deleteSnapshot('c', 'test');
  t.match(tree.refusal(), /^cannot-undo: .*"delete c".*undo --back takes back "restore a"/s);
  t.equal(tree.undo('back'), 'back restore a: mine');
  t.equal(tree.undo(), 'forward restore a: a');
  tree.end(t);
});

t.test('what changes nothing is no step, and leaves no snapshot', async (t) => {
  const tree = Tree.abc(t);
  tree.restore('a');
  t.equal(tree.restore('a'), undefined);
  t.match(tree.volume.restore('a', 'test'), { outcome: 'unchanged' });
  t.equal(tree.volume.undoSteps().length, 1);
  t.equal(tree.undo(), 'back restore a: mine');
  tree.end(t);
});

t.test('without an undo snapshot there is no way back, and undo says so', async (t) => {
  const tree = Tree.abc(t);
  tree.restore('a');
  tree.put('result');
  t.match(tree.volume.restore('b', 'test', false), { outcome: 'not kept', undo: undefined });
  t.match(tree.refusal(), /^cannot-undo: "restore b" kept no undo snapshot/);
  t.match(tree.refusal('back'), /^cannot-undo/);
  const none = Tree.abc(t, 0);
  t.equal(none.restore('a'), undefined);
  t.match(none.refusal(), /^cannot-undo/);
  none.end(t);
});

t.test('a pruned or deleted undo snapshot ends the way', async (t) => {
  const tree = Tree.abc(t, 1);
  tree.restore('a');
  tree.put('x');
  tree.restore('b');
  t.equal(tree.undo(), 'back restore b: x');
  t.match(tree.refusal('back'), /^undo-gone: .*before "restore a" is gone/);
  t.equal(tree.undo(), 'forward restore b: b', 'both ends of the last step are kept');
  t.equal(tree.undo(), 'back restore b: x');
  tree.end(t);
});

t.test('the line is durable with its command; undo snapshots say what they are', async (t) => {
  const tree = Tree.abc(t);
  tree.restore('a');
  tree.close();
  t.equal(tree.undo(), 'back restore a: mine');
  tree.close();
  t.equal(tree.undo(), 'forward restore a: a');
  const notes = tree.volume.snapshots().map(({ note }) => note ?? '');
  t.same(notes.filter((note) => note !== '').sort(), [
    'before restore a',
    'before undo of restore a',
  ]);
  t.same(
    tree.volume.history(2).map(({ command, outcome }) => `${command}: ${outcome}`),
    ['undo: took back restore a', 'undo: did restore a again'],
  );
  tree.volume.renameSnapshot(tree.volume.undoSteps()[0]?.before ?? '', 'kept', 'test');
  t.equal(tree.undo(), 'back restore a: mine', 'a renamed snapshot is still the one');
  tree.end(t);
});

t.test('a command that changes the tree file by file is a step like any other', async (t) => {
  const tree = Tree.abc(t);
  const undo = tree.volume.leaveUndo({ command: 'restore', name: 'a', detail: '-- file' }, 'test');
  t.equal(tree.text, 'mine', 'nothing has changed yet');
  tree.put('a');
  t.equal(tree.undo(), 'back restore a: mine');
  t.equal(tree.undo(), 'forward restore a: a');
  t.match(tree.volume.snapshot(undo ?? ''), { note: 'before restore a -- file', kind: 'undo' });
  tree.undo();
  t.equal(
    tree.volume.leaveUndo({ command: 'merge', name: 'b' }, 'test'),
    undo,
    'an undo snapshot that shows the same serves again',
  );
  tree.end(t);
});

t.test('restores by a version that knows no undo are steps, too', async (t) => {
  const tree = Tree.abc(t);
  tree.restore('a');
  tree.put('x');
  tree.restore('b');
  const line = readMeta<{ steps: object[] }>(tree.volume.store, 'undo');
  t.equal(line?.steps.length, 2);
  // As such a version leaves it: no line, or the line of before.
  tree.damage((tx) => tx.del(TABLE.meta, Buffer.from('undo')));
  t.equal(tree.volume.undoSteps().length, 2);
  t.equal(tree.undo(), 'back restore undefined: x');
  t.equal(tree.undo('back'), 'back restore undefined: mine');
  tree.end(t);
});

t.test('a standby has no undo, and none of what it was before', async (t) => {
  const tree = Tree.abc(t);
  tree.restore('a');
  tree.volume.roles.demote('b', 'test');
  tree.flush();
  t.match(tree.refusal(), /^standby/);
  tree.volume.roles.promote('test', () => 0.5);
  tree.flush();
  t.match(tree.refusal(), /^nothing-to-undo/);
  tree.end(t);
});

t.test('check finds a note that is none', async (t) => {
  const tree = Tree.abc(t);
  const { name, ...record } = tree.volume.requireSnapshot('a');
  tree.damage((tx) =>
    tx.put(TABLE.snapshots, Buffer.from(name), encodeJson({ ...record, note: ' ' })),
  );
  t.match(tree.check().findings, [{ rule: 'D7', where: 'snapshot a' }]);
});
