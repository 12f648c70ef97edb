/** Random commands about branches: forked, mounted side by side, switched, renamed, deleted. */
import { MergeOperations } from './merge-operations.js';
import type { Random } from './random.js';
import type { VolumeRun } from './volume-run.js';

const MAX_BRANCHES = 5;

export class BranchOperations {
  readonly #merges: MergeOperations;

  constructor(
    readonly run: VolumeRun,
    readonly random: Random,
  ) {
    this.#merges = new MergeOperations(run);
  }

  any(): void {
    this.random.weighted([
      [3, () => this.fork()],
      [3, () => this.mount()],
      [6, () => this.focus()],
      [1, () => this.unmount()],
      [2, () => this.switch()],
      [1.5, () => this.delete()],
      [0.7, () => this.rename()],
      [4, () => this.merge()],
    ])();
  }

  fork(): void {
    const { run, random } = this;
    const { model } = run;
    if (model.branches().length >= MAX_BRANCHES) return;
    const name = random.chance(0.05) ? random.pick(model.branches()) : `b${random.below(1e6)}`;
    const from = random.pick([undefined, 'branch', 'snapshot'] as const);
    if (from === 'snapshot') {
      if (model.snapshots.length > 0) {
        run.fork(name, { snapshot: random.pick(model.snapshots).name });
      }
    } else run.fork(name, from === undefined ? {} : { branch: random.pick(model.branches()) });
  }

  #unmounted(): string[] {
    return this.run.model.branches().filter((name) => !this.run.mounts.has(name));
  }

  mount(): void {
    const free = this.#unmounted();
    if (free.length > 0) this.run.mount(this.random.pick(free));
  }

  focus(): void {
    this.run.focusOn(this.random.pick([...this.run.mounts.keys()]));
  }

  unmount(): void {
    const { run } = this;
    const others = [...run.mounts.keys()].filter(
      (name) => name !== 'main' && name !== run.model.focus,
    );
    if (others.length > 0) run.unmount(this.random.pick(others));
  }

  /** Not the mount of main: through it the volume is closed. */
  switch(): void {
    const free = this.#unmounted();
    const { run, random } = this;
    if (free.length > 0 && run.model.focus !== 'main') run.switchBranch(random.pick(free));
  }

  delete(): void {
    const free = this.#unmounted();
    if (free.length > 0) this.run.deleteBranch(this.random.pick(free));
  }

  merge(): void {
    const { run, random } = this;
    const name = random.pick(run.model.branches());
    if (name !== run.model.focus)
      this.#merges.merge(name, random.pick([undefined, 'ours', 'theirs']));
  }

  rename(): void {
    const { run, random } = this;
    const others = run.model.branches().filter((name) => name !== 'main');
    if (others.length > 0) run.renameBranch(random.pick(others), `r${random.below(1e6)}`);
  }
}
