/**
 * Several branches over one directory, each of which is applied to it in turn,
 * taken back and cut off: no other branch and no snapshot changes by that (rules
 * A1, B3). `SEED=n` runs one history.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { workNow } from '../../src/lib/work.js';
import type { Volume } from '../../src/volume/volume.js';
import { ApplyRun, type Manifest, same } from './apply-run.js';
import { makeBase } from './base-tree.js';
import { Random } from './random.js';

const MAX_BRANCHES = 4;
const chosen = process.env['SEED'];
const seeds = chosen === undefined ? Array.from({ length: 5 }, (_, i) => i + 1) : [Number(chosen)];

/** The run's `volume` is the branch that is worked in. */
class BranchesRun extends ApplyRun {
  main: Volume = this.volume;
  #open = new Map<string, Volume>([['main', this.main]]);

  focusOn(name: string): void {
    const found = this.#open.get(name) ?? this.main.at(name);
    this.#open.set(name, found);
    this.volume = found;
  }

  fork(random: Random, name: string): void {
    const snapshots = [...this.snapshots.keys()];
    const request = random.chance(0.4) ? { snapshot: random.pick(snapshots) } : {};
    this.volume.branchCommands.fork(name, request, 'test');
    this.main.flush();
  }

  names(): string[] {
    return this.main.branches.names();
  }

  /** What each branch shows, but the one that is worked in. */
  others(): Map<string, Manifest> {
    const at = this.volume.seat.branch.name;
    const shown = new Map<string, Manifest>();
    for (const name of this.names()) if (name !== at) shown.set(name, this.#shown(name));
    return shown;
  }

  #shown(name: string): Manifest {
    const { volume } = this;
    this.focusOn(name);
    const manifest = this.manifest(this.volume.live, true);
    this.volume = volume;
    return manifest;
  }

  othersHold(others: ReadonlyMap<string, Manifest>, when: string): void {
    for (const [name, manifest] of others) same(this.#shown(name), manifest, `${name}, ${when}`);
  }

  override reopen(): void {
    this.#anew(() => super.reopen());
  }

  override crash(): string | undefined {
    let became: string | undefined;
    this.#anew(() => {
      became = super.crash();
    });
    return became;
  }

  /** Whatever was open before is not any more; the same branch is worked in afterwards. */
  #anew(open: () => void): void {
    const { name } = this.volume.seat.branch;
    this.volume = this.main;
    open();
    this.main = this.volume;
    this.#open = new Map([['main', this.main]]);
    this.focusOn(name);
  }

  override dispose(): void {
    this.volume = this.main;
    super.dispose();
  }
}

function applyWhole(run: BranchesRun, random: Random): void {
  const wanted = run.live;
  const before = run.disk();
  const others = run.others();
  const done = workNow(run.applying(run.seal()), () => run.main.flush());
  same(run.live, wanted, 'the branch that was applied');
  same(run.disk(), wanted, 'the base');
  run.othersHold(others, 'after an apply');
  run.check();
  for (let i = done.undo === undefined ? 0 : random.below(3); i > 0; i--) {
    const isBack = run.nextUndo() === 'back';
    workNow(run.undoing(), () => run.main.flush());
    same(run.disk(), isBack ? before : wanted, `the base, ${isBack ? 'back' : 'again'}`);
    same(run.live, wanted, 'the branch, after an undo');
    run.othersHold(others, 'after an undo');
    run.check();
  }
  run.snapshotsHold();
}

function applyCut(run: BranchesRun, random: Random): void {
  const wanted = run.live;
  const before = run.disk();
  const others = run.others();
  const isDone = run.runFor(random.below(150), run.applying(run.seal()));
  const became = run.crash();
  const isApplied = isDone || became === 'completed';
  same(run.disk(), isApplied ? wanted : before, `the base, ${isApplied ? 'completed' : 'undone'}`);
  same(run.live, wanted, 'the branch, after a crash');
  run.othersHold(others, 'after a crash');
  run.snapshotsHold();
  run.check();
}

for (const seed of seeds) {
  t.test(`SEED=${seed}: branches over one directory`, (t) => {
    const random = new Random(seed + 5000);
    const base = makeBase(random);
    // What takes long to read, and is not what this is about.
    for (const large of ['huge', 'd/sparse']) rmSync(join(base, large));
    const run = new BranchesRun(base);
    t.teardown(() => run.dispose());
    run.save('start');
    for (let round = 0; round < 6; round++) {
      run.focusOn(random.pick(run.names()));
      for (let i = random.between(3, 30); i > 0; i--) {
        run.work(random);
        if (random.chance(0.05)) run.save(`s${round}-${i}`);
      }
      if (run.names().length < MAX_BRANCHES && random.chance(0.7)) run.fork(random, `b${round}`);
      if (random.chance(0.3)) {
        run.volume.restore(random.pick([...run.snapshots.keys()]), 'test');
        run.main.flush();
      }
      if (random.chance(0.5)) run.focusOn(random.pick(run.names()));
      if (random.chance(0.7)) applyWhole(run, random);
      else applyCut(run, random);
      if (random.chance(0.3)) {
        const others = run.others();
        const wanted = run.live;
        run.reopen();
        same(run.live, wanted, 'the branch, opened again');
        run.othersHold(others, 'opened again');
      }
    }
    const all = run.others();
    const wanted = run.live;
    workNow(run.freezing(), () => run.main.flush()).base?.close();
    run.emptyBase();
    same(run.live, wanted, 'the branch, frozen');
    run.othersHold(all, 'frozen');
    run.snapshotsHold();
    run.check();
    t.end();
  });
}
