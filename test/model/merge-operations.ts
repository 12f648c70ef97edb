/** Random merges of branches, each compared with the three trees that it is made of. */
import { CommandError, FsError } from '../../src/lib/errors.js';
import { settledWith, workNow } from '../../src/lib/work.js';
import { commonState } from '../../src/volume/merge/common-state.js';
import { type MergeAnswer, MergeConflicts, Merging } from '../../src/volume/merge/merge.js';
import type { View } from '../../src/volume/view.js';
import { hasTwins, readTree, type ThreeTrees, wrongInMerge } from './merged-tree.js';
import { copyInodes, type Inodes } from './plain-model.js';
import { BLOCK, trace, type VolumeRun } from './volume-run.js';

export class MergeOperations {
  constructor(readonly run: VolumeRun) {}

  /** The model can't say what is a conflict; what the merge then makes must fit the three trees. */
  merge(name: string, resolve: 'ours' | 'theirs' | undefined): void {
    trace(`merge ${name} ${resolve ?? ''} into layer ${this.run.volume.live.top}`);
    const { model, volume } = this.run;
    const ours = copyInodes(model.live);
    const theirs = copyInodes(model.inodesOf(name));
    const merging = new Merging(volume.branchCommands);
    const request = { branch: name, source: 'model', ...(resolve !== undefined && { resolve }) };
    try {
      const work = merging.run(request, {
        pause: () => settledWith<void>(undefined),
        onProgress: () => undefined,
        adopt: (change) => {
          this.run.note();
          const base = this.#commonTree(name, [ours, theirs]);
          const { answer, from } = volume.withReserve(change);
          this.#merged(answer, from, { base, ours, theirs }, resolve);
          volume.leaveBehind(from);
          this.run.note();
          return settledWith(answer);
        },
      });
      workNow(work, () => this.run.flush());
    } catch (error) {
      // Branches that are undone and deleted may leave two without a state in common.
      const isApart = error instanceof CommandError && error.code === 'no-common-state';
      const isFull = error instanceof FsError && error.code === 'ENOSPC';
      if (!isApart && !isFull && !(error instanceof MergeConflicts)) throw error;
    }
    this.run.note();
  }

  /** Both trees are sealed, and nothing has been written since. */
  #commonTree(name: string, known: readonly Inodes[]): Inodes {
    const { volume } = this.run;
    const { catalog, layers, branches } = volume;
    const ours = layers.get(volume.live.top).parent;
    const theirs = branches.openLayer(name).parent;
    const common = commonState(catalog, layers, ours, theirs);
    if (common === undefined) throw new Error('a merge without a common state');
    return readTree(volume, volume.viewAt(common), known, BLOCK);
  }

  #merged(
    answer: MergeAnswer,
    from: View,
    trees: ThreeTrees,
    resolve: 'ours' | 'theirs' | undefined,
  ): void {
    const { model, volume } = this.run;
    this.run.pin(from, trees.ours);
    const { undo, pruned, outcome, conflicts } = answer;
    const left = volume.snapshot(undo ?? '');
    if (left !== undefined && !model.snapshots.some((one) => one.name === undo)) {
      model.addSnapshot(left.name, 'undo', left.layer);
    }
    const merged = readTree(volume, volume.live, [trees.ours, trees.theirs], BLOCK);
    for (const ino of merged.keys()) this.run.known.add(ino);
    if (outcome === 'merged' && !hasTwins(trees)) {
      const [wrong] = wrongInMerge(trees, merged, conflicts.length > 0 ? resolve : undefined);
      if (wrong !== undefined) throw new Error(`merge: ${wrong}`);
    }
    // Files without a name that programs have open here stay.
    for (const [ino, inode] of copyInodes(trees.ours)) {
      if (inode.nlink === 0 && volume.inode(volume.live, ino) !== undefined) merged.set(ino, inode);
    }
    model.merged(merged);
    for (const one of pruned) model.deleteSnapshot(one);
  }
}
