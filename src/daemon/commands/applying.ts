/**
 * `apply` of a mounted volume: what was cut off is completed first, then the
 * tree as it is now is sealed and brought into the base, in slices of the
 * serving thread's spare time.
 */
import { after, type Deferred } from '../../lib/deferred.js';
import { byteStringOfText, textOfByteString } from '../../lib/byte-text.js';
import { answerOf, type Work, workInSlices } from '../../lib/work.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import { type ApplyHost, type ApplyItem, applyLayer } from '../../volume/apply/apply.js';
import { recoverApply } from '../../volume/apply/carry-out.js';
import type { Volume } from '../../volume/volume.js';

/** Items in an answer, which is held in memory; the counts are of all. */
export const ITEMS_MAX = 100_000;

export interface ApplyingParts {
  volume: Volume;
  addJob(next: () => boolean): void;
  host: Pick<ApplyHost, 'pause' | 'flush' | 'volumePath'>;
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

export class Applying {
  readonly #parts: ApplyingParts;
  progress = { done: 0, total: 0 };

  constructor(parts: ApplyingParts) {
    this.#parts = parts;
  }

  /** Everything that programs wrote has reached the volume. */
  run(args: CommandArguments, source: string): Deferred<Answer> {
    this.progress = { done: 0, total: 0 };
    const done = workInSlices(this.#work(args, source), (next) => this.#parts.addJob(next));
    return after(done, (answer) => answer);
  }

  *#work(args: CommandArguments, source: string): Work<Answer> {
    const { volume, host, log } = this.#parts;
    const whole: ApplyHost = {
      ...host,
      rights: rightsHere(),
      onProgress: (done, total) => {
        this.progress = { done, total };
      },
    };
    const recovered = yield* recoverApply(volume, whole);
    if (recovered !== undefined) log(`an apply that was cut off is ${recovered} now`);
    const layer = volume.applied.seal();
    try {
      yield* answerOf(volume.whenCommitted(volume.commit()));
      const request = { paths: pathsOf(args), ours: args.resolve === 'ours', source };
      const { items, undo, storedBytes, writtenBytes } = yield* applyLayer(
        volume,
        layer,
        request,
        whole,
      );
      return {
        ...itemsAnswer(items),
        undo: undo ?? null,
        storedBytes,
        writtenBytes,
        ...(recovered !== undefined && { recovered }),
      };
    } finally {
      volume.unpin(layer);
    }
  }
}
