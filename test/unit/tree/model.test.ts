/**
 * Random work through a simulated kernel, with saves, restores and deletes in
 * between: whatever the kernel has cached, a path shows what it should, and an
 * open file goes on showing what it showed.
 *
 * TREE_SEED=n replays one run, TREE_RUNS=n sets how many there are.
 */
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { errnoOf, makeRig, ROOT, type Rig } from '../fixtures/simulated-kernel.js';

/** What is at a path: text of a file (an object, shared by its hard links), a directory, a link. */
type Item = { text: string } | 'dir' | { target: string };
type Model = Map<string, Item>;

function copyOf(model: Model): Model {
  const files = new Map<object, Item>();
  const copy: Model = new Map();
  for (const [path, item] of model) {
    if (item === 'dir') {
      copy.set(path, item);
      continue;
    }
    const known = files.get(item) ?? { ...item };
    files.set(item, known);
    copy.set(path, known);
  }
  return copy;
}

function shown(model: Model): Record<string, string> {
  const all: Record<string, string> = {};
  for (const path of [...model.keys()].sort()) {
    const item = model.get(path);
    if (item === undefined) continue;
    all[path] = item === 'dir' ? 'dir' : 'text' in item ? item.text : `→ ${item.target}`;
  }
  return all;
}

function sorted(all: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** mulberry32 */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let h = Math.imul(state ^ (state >>> 15), 1 | state);
    h = (h + Math.imul(h ^ (h >>> 7), 61 | h)) ^ h;
    return ((h ^ (h >>> 14)) >>> 0) % below;
  };
}

const NAMES = ['a', 'b', 'c', 'd'];

class Run {
  model: Model = new Map();
  readonly snapshots = new Map<string, Model>();
  /** Open files: the node and what it shows. Stale: a restore has left it behind. */
  readonly open: { node: number; item: { text: string }; stale: boolean }[] = [];
  readonly #random: (below: number) => number;
  #counter = 0;

  constructor(
    readonly rig: Rig,
    seed: number,
  ) {
    this.#random = randomFrom(seed);
  }

  #path(): string {
    const depth = 1 + this.#random(3);
    return Array.from({ length: depth }, () => NAMES[this.#random(NAMES.length)]).join('/');
  }

  #text(): string {
    return `${++this.#counter}${'x'.repeat(this.#random(20))}`;
  }

  step(): void {
    const { kernel } = this.rig;
    const path = this.#path();
    const item = this.model.get(path);
    const cut = path.lastIndexOf('/');
    const hasParent = cut < 0 || this.model.get(path.slice(0, cut)) === 'dir';
    switch (this.#random(15)) {
      case 0:
      case 1:
      case 2:
        if (item !== undefined || !hasParent) return;
        if (this.#random(2) === 0) {
          kernel.mkdir(path);
          this.model.set(path, 'dir');
        } else {
          const text = this.#text();
          kernel.create(path, text);
          this.model.set(path, { text });
        }
        return;
      case 3:
        if (item !== undefined || !hasParent) return;
        kernel.symlink(path, this.#text());
        this.model.set(path, { target: kernel.readlink(path) });
        return;
      case 4:
      case 5:
      case 6:
        if (item === undefined || item === 'dir' || !('text' in item)) return;
        this.#write(path, item);
        return;
      case 7:
        this.#remove(path, item);
        return;
      case 8:
        this.#rename(path, item);
        return;
      case 9:
        this.#link(path, item, hasParent);
        return;
      case 10:
        if (item === undefined || item === 'dir' || !('text' in item)) return;
        this.open.push({ node: kernel.open(path), item, stale: false });
        return;
      case 11: {
        const [held] = this.open.splice(this.#random(Math.max(1, this.open.length)), 1);
        if (held !== undefined) kernel.close(held.node);
        return;
      }
      case 12:
        kernel.snapshotOf('', this.#random(2) === 0);
        return;
      case 13:
        if (this.#random(3) === 0) this.#command();
        return;
      case 14: {
        const ids = [...kernel.nodes.keys()].filter((id) => kernel.nodes.get(id)?.holders === 0);
        const id = ids[this.#random(Math.max(1, ids.length))];
        if (id !== undefined) kernel.forget(id);
      }
    }
  }

  #write(path: string, item: { text: string }): void {
    const { kernel } = this.rig;
    const node = kernel.open(path);
    const text = this.#text().padEnd(item.text.length, 'y');
    kernel.writeTo(node, text);
    item.text = text;
    kernel.close(node);
  }

  #remove(path: string, item: Item | undefined): void {
    if (item === undefined) return;
    if (item !== 'dir') this.rig.kernel.unlink(path);
    else if ([...this.model.keys()].some((other) => other.startsWith(`${path}/`))) return;
    else this.rig.kernel.rmdir(path);
    this.model.delete(path);
  }

  #rename(path: string, item: Item | undefined): void {
    const to = this.#path();
    const cut = to.lastIndexOf('/');
    if (item === undefined || to === path || to.startsWith(`${path}/`)) return;
    if (cut >= 0 && this.model.get(to.slice(0, cut)) !== 'dir') return;
    const target = this.model.get(to);
    if (target === 'dir' || (target !== undefined && item === 'dir') || target === item) return;
    this.rig.kernel.rename(path, to);
    for (const [from, moved] of [...this.model]) {
      if (from !== path && !from.startsWith(`${path}/`)) continue;
      this.model.delete(from);
      this.model.set(to + from.slice(path.length), moved);
    }
  }

  #link(path: string, item: Item | undefined, hasParent: boolean): void {
    const files = [...this.model].filter(([, other]) => other !== 'dir' && 'text' in other);
    const source = files[this.#random(Math.max(1, files.length))];
    if (item !== undefined || !hasParent || source === undefined) return;
    this.rig.kernel.link(source[0], path);
    this.model.set(path, source[1]);
  }

  #command(): void {
    const names = [...this.snapshots.keys()];
    const name = names[this.#random(Math.max(1, names.length))];
    const what = this.#random(5);
    if (what < 2 || name === undefined) {
      const fresh = `s${++this.#counter}`;
      this.rig.kernel.mkdir(`.snapshots/${fresh}`);
      this.snapshots.set(fresh, copyOf(this.model));
    } else if (what === 2) {
      this.rig.kernel.rmdir(`.snapshots/${name}`);
      this.snapshots.delete(name);
    } else {
      this.#restore(name);
    }
  }

  #restore(name: string): void {
    for (const held of this.open) held.item = { ...held.item };
    this.model = copyOf(this.snapshots.get(name) as Model);
    const finish = this.rig.startRestore(name);
    // Work goes on between the switch and the coherent phase.
    const written = new Map<number, string>();
    for (let i = this.#random(6); i > 0; i--) this.#lateStep(written);
    finish();
    this.#rebind(written);
  }

  /**
   * Through descriptors from before the restore: those of changed files fail,
   * those of unchanged ones write into the restored tree.
   */
  #lateStep(written: Map<number, string>): void {
    const held = this.open[this.#random(Math.max(1, this.open.length))];
    if (held === undefined) return;
    const text = this.#text().padEnd((written.get(held.node) ?? held.item.text).length, 'z');
    if (errnoOf(() => this.rig.kernel.writeTo(held.node, text)) === 'no error') {
      written.set(held.node, text);
    }
  }

  /** Which open files are still those of the restored tree, and which were left behind. */
  #rebind(written: ReadonlyMap<number, string>): void {
    const { kernel } = this.rig;
    const byNode = new Map<number, { text: string }>();
    for (const [path, item] of this.model) {
      if (item !== 'dir' && 'text' in item) byNode.set(kernel.open(path), item);
    }
    for (const held of this.open) {
      const live = byNode.get(held.node);
      held.stale = live === undefined;
      if (live === undefined) continue;
      live.text = written.get(held.node) ?? live.text;
      held.item = live;
    }
    for (const node of byNode.keys()) kernel.close(node);
  }

  check(t: Tap.Test): boolean {
    const { kernel } = this.rig;
    let right = t.strictSame(sorted(kernel.snapshotOf('')), shown(this.model), 'the live tree');
    for (const [name, model] of this.snapshots) {
      const there = sorted(kernel.snapshotOf(`.snapshots/${name}`, true));
      right = t.strictSame(there, shown(model), `snapshot ${name}`) && right;
    }
    for (const { node, item, stale } of this.open) {
      right = t.equal(kernel.readFrom(node), item.text, `open node ${node}`) && right;
      if (stale) {
        right =
          t.equal(
            errnoOf(() => kernel.writeTo(node, 'x')),
            'ESTALE',
          ) && right;
      }
    }
    return right;
  }
}

declare namespace Tap {
  type Test = Pick<typeof t, 'strictSame' | 'equal'>;
}

const seeds =
  process.env.TREE_SEED === undefined
    ? Array.from({ length: Number(process.env.TREE_RUNS ?? 8) }, (_, i) => i + 1)
    : [Number(process.env.TREE_SEED)];

/** A base directory and what is in it. */
function makeBase(): { path: string; model: Model } {
  const path = mkdtempSync(join(tmpdir(), 'tree-base-'));
  const model: Model = new Map();
  const directory = (name: string): void => {
    mkdirSync(join(path, name));
    model.set(name, 'dir');
  };
  const file = (name: string): void => {
    writeFileSync(join(path, name), `base ${name}`);
    model.set(name, { text: `base ${name}` });
  };
  directory('a');
  directory('a/b');
  directory('b');
  for (const name of ['c', 'a/a', 'a/b/c', 'b/d']) file(name);
  linkSync(join(path, 'c'), join(path, 'b/a'));
  model.set('b/a', model.get('c') as Item);
  symlinkSync('../c', join(path, 'a/d'));
  model.set('a/d', { target: '../c' });
  return { path, model };
}

for (const seed of seeds) {
  t.test(`seed ${seed}`, (t) => {
    // Every other one over a base.
    const base = seed % 2 === 0 ? makeBase() : undefined;
    const rig = makeRig(base === undefined ? {} : { base: base.path });
    rig.kernel.caller = ROOT;
    const run = new Run(rig, seed);
    if (base !== undefined) run.model = base.model;
    for (let i = 1; i <= 600; i++) {
      try {
        run.step();
      } catch (error) {
        t.fail(`TREE_SEED=${seed}, step ${i}: ${(error as Error).stack}`);
        break;
      }
      if (i % 60 === 0 && !run.check(t)) {
        t.fail(`TREE_SEED=${seed}, at step ${i}`);
        break;
      }
    }
    rig.kernel.forgetAll();
    t.strictSame(rig.tree.status(), { live: 0, special: 0 }, 'nothing leaks');
    rig.close();
    if (base !== undefined) rmSync(base.path, { recursive: true });
    t.end();
  });
}
