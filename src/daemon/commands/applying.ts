/**
 * `apply` of a mounted volume: what was cut off is completed first, then the
 * tree as it is now is sealed and brought into the base, in slices of the
 * serving thread's spare time. `undo` of an apply is an apply of what the base
 * was before.
 */
import type { Deferred } from '../../lib/deferred.js';
import { byteStringOfText, textOfByteString } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { answerOf, type Work, workInSlices } from '../../lib/work.js';
import { withListTexts } from '../../format/text/list-text.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import { type ApplyHost, type ApplyItem, applyLayer } from '../../volume/apply/apply.js';
import { type Recovered, recoverApply } from '../../volume/apply/carry-out.js';
import { giveBack } from '../../volume/apply/give-back.js';
import { type BaseUndo, undoApply } from '../../volume/apply/undo-apply.js';
import type { Volume } from '../../volume/volume.js';

/** Items in an answer, which is held in memory; the counts are of all. */
export const ITEMS_MAX = 100_000;

export interface ApplyingParts {
  volume: Volume;
  addJob(next: () => boolean): void;
  host: Pick<ApplyHost, 'pause' | 'flush' | 'flushFile' | 'volumePath'>;
  log(message: string): void;
}

/** An item as answers show it. */
export function shownItem({ path, oldPath, ...rest }: ApplyItem): object {
  return {
    ...rest,
    path: textOfByteString(path),
    ...(oldPath !== undefined && { oldPath: textOfByteString(oldPath) }),
  };
}

export function itemsAnswer(items: readonly ApplyItem[], limit = ITEMS_MAX): Answer {
  const summary = { added: 0, changed: 0, removed: 0, renamed: 0 };
  for (const { kind } of items) summary[kind]++;
  return {
    items: items.slice(0, limit).map(shownItem),
    summary,
    truncated: items.length > limit,
  };
}

/** Paths of a command, as byte strings. */
export function pathsOf({ paths = [] }: CommandArguments): string[] {
  return paths.filter((path) => path !== '').map(byteStringOfText);
}

export function rightsHere(): ApplyHost['rights'] {
  const groups = [...(process.getgroups?.() ?? []), process.getegid?.() ?? -1];
  return { uid: process.geteuid?.() ?? -1, groups: new Set(groups) };
}

/** What `undo` does to the base. Throws nothing-to-undo, cannot-undo, undo-gone. */
export function baseUndoOf(volume: Volume, { direction }: CommandArguments): BaseUndo {
  const plan = volume.planBaseUndo(direction);
  if (plan !== undefined) return plan;
  // An apply that was cut off is completed, and the line has changed.
  throw new CommandError('cannot-undo', 'EAGAIN', 'another command was completed first: once more');
}

export class Applying {
  readonly #parts: ApplyingParts;
  progress = { done: 0, total: 0 };

  constructor(parts: ApplyingParts) {
    this.#parts = parts;
  }

  /**
   * Everything that programs wrote has reached the volume. `merged`: the branch whose merge it
   * belongs to.
   */
  run(args: CommandArguments, source: string, merged?: string): Deferred<Answer> {
    this.progress = { done: 0, total: 0 };
    return workInSlices(this.#work(args, source, merged), (next) => this.#parts.addJob(next));
  }

  /** The next command on the undo line is an apply: the base changes, and the tree does not. */
  undo(args: CommandArguments, source: string): Deferred<Answer> {
    this.progress = { done: 0, total: 0 };
    return workInSlices(this.#undoWork(args, source), (next) => this.#parts.addJob(next));
  }

  get #host(): ApplyHost {
    return {
      ...this.#parts.host,
      rights: rightsHere(),
      onProgress: (done, total) => {
        this.progress = { done, total };
      },
    };
  }

  *#recovered(host: ApplyHost): Work<Recovered | undefined> {
    const { volume, log } = this.#parts;
    const recovered = yield* recoverApply(volume, host);
    if (recovered !== undefined) log(`an apply that was cut off is ${recovered} now`);
    return recovered;
  }

  *#undoWork(args: CommandArguments, source: string): Work<Answer> {
    const { volume } = this.#parts;
    const host = this.#host;
    const recovered = yield* this.#recovered(host);
    const plan = baseUndoOf(volume, args);
    const how = { ours: args.resolve === 'ours', source };
    const { items, storedBytes, writtenBytes } = yield* undoApply(volume, plan, how, host);
    return yield* withListTexts({
      ...plan.told,
      ...itemsAnswer(items),
      storedBytes,
      writtenBytes,
      ...volume.nextUndo,
      ...(recovered !== undefined && { recovered }),
    });
  }

  /** The tree of the mount, or of another branch; pinned once. The undo line is the mount's. */
  #sealed(branch: string | undefined): number {
    const { volume } = this.#parts;
    if (branch === undefined) return volume.applied.seal();
    if (volume.isReadOnly) {
      throw new CommandError('read-only', 'EROFS', 'the volume is mounted read-only');
    }
    const layer = volume.withReserve(() => volume.branchCommands.seal(branch));
    volume.pin(layer);
    return layer;
  }

  *#work(args: CommandArguments, source: string, merged?: string): Work<Answer> {
    const { volume } = this.#parts;
    const whole = this.#host;
    const recovered = yield* this.#recovered(whole);
    const layer = this.#sealed(args.branch);
    try {
      yield* answerOf(volume.whenCommitted(volume.commit()));
      const request = {
        paths: pathsOf(args),
        ours: args.resolve === 'ours',
        source,
        ...(merged !== undefined && { merged }),
      };
      const { items, undo, replaced, storedBytes, writtenBytes } = yield* applyLayer(
        volume,
        layer,
        request,
        whole,
      );
      const given = args.givesBack && (yield* giveBack(volume, request.paths, whole));
      return yield* withListTexts({
        ...itemsAnswer(items),
        undo: undo ?? null,
        replaced,
        storedBytes,
        writtenBytes,
        ...(given && { givenBackBytes: given.bytes, givenBackCount: given.files }),
        ...(recovered !== undefined && { recovered }),
      });
    } finally {
      volume.unpin(layer);
    }
  }
}
