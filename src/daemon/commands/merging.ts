/**
 * `merge` of a mounted volume: programs' changes wait while the merged tree is
 * made, in slices of the serving thread's spare time; reads go on. The switch to
 * it is a restore's.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shownName, textOfByteString } from '../../lib/byte-text.js';
import { after, type Deferred, failing } from '../../lib/deferred.js';
import { CommandError } from '../../lib/errors.js';
import { settledWith, workInSlices } from '../../lib/work.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import type { MergeConflict, MergeItem } from '../../volume/merge/items.js';
import {
  type MergeAnswer,
  MergeConflicts,
  type MergeHost,
  Merging,
  type PlannedMerge,
  type TextVersions,
} from '../../volume/merge/merge.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import { ITEMS_MAX } from './applying.js';
import type { TreeMove } from './command-volume.js';

/** Conflicts listed in a message; the answer's data has more. */
const TOLD_MAX = 20;

const REASONS: Readonly<Record<MergeConflict['reasons'][number], string>> = {
  content: 'both changed its content',
  target: 'both changed where it leads',
  device: 'both made it another device',
  mode: 'both changed its mode',
  owner: 'both changed its owner',
  xattr: 'both changed an extended attribute',
  'removed-here': 'removed here, changed there',
  'removed-there': 'changed or renamed here, removed there',
  renamed: 'renamed to different places',
  'same-name': 'both gave this name to something else',
  'directory-removed-here': 'put there into a directory that is removed here',
  'directory-removed-there': 'removed there, and something in it is new here',
  cycle: 'each was moved below the other one',
};

export interface MergesParts {
  volume: Volume;
  addJob(next: () => boolean): void;
  pause(): Deferred<void>;
  /** Programs' changes wait until `letGo`. */
  holdChanges(): void;
  letGo(): void;
  /** Merges the lines of `base`, `ours` and `theirs` in a directory; into `merged`. */
  mergeText(directory: string): Deferred<{ isClean: boolean }>;
}

/** Switches to the tree, makes it durable, and the kernel's caches agree. */
export type Finish<V> = (change: () => TreeMove<V>) => Deferred<Answer>;

export class Merges {
  readonly #parts: MergesParts;
  progress = { done: 0, total: 0 };

  constructor(parts: MergesParts) {
    this.#parts = parts;
  }

  /** Everything that programs wrote has reached the volume. */
  run(args: CommandArguments, source: string, finish: Finish<View>): Deferred<Answer> {
    const { volume, addJob, pause, holdChanges, letGo } = this.#parts;
    this.progress = { done: 0, total: 0 };
    const { name: branch = '', resolve } = args;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) letGo();
      isHeld = false;
    };
    const directories: string[] = [];
    let finished: Answer | undefined;
    const host: MergeHost = {
      pause,
      onProgress: (done, total) => {
        this.progress = { done, total };
      },
      adopt: (change) => {
        const made: MergeAnswer[] = [];
        const done = finish(() => {
          const { answer, from, to } = volume.withReserve(change);
          made.push(answer);
          volume.leaveBehind(from);
          return { answer, moved: { from, to } };
        });
        release();
        return after(done, (answer) => {
          finished = answer;
          return made[0] as MergeAnswer;
        });
      },
      ...(args.text === true && {
        mergeText: (versions: TextVersions) => this.#mergeText(versions, directories),
      }),
    };
    holdChanges();
    const request = { branch, source, ...(resolve !== undefined && { resolve }) };
    const merging = new Merging(volume.branchCommands);
    const done = workInSlices(merging.run(request, host), addJob);
    const end = (): void => {
      release();
      for (const directory of directories) rmSync(directory, { recursive: true, force: true });
    };
    done.settled(end, end);
    const shown = after(
      done,
      (answer): Answer => ({ ...shownMerge(answer), ...timingsOf(finished) }),
    );
    return failing(shown, (error) => {
      return error instanceof MergeConflicts ? this.#refused(error, source) : error;
    });
  }

  #mergeText(
    versions: TextVersions,
    directories: string[],
  ): Deferred<{ file: string | undefined }> {
    const { base, ours, theirs } = versions;
    if ([base, ours, theirs].some((bytes) => bytes.includes(0))) {
      return settledWith<{ file: string | undefined }>({ file: undefined });
    }
    const directory = mkdtempSync(join(tmpdir(), 'shadowfs-merge-'));
    directories.push(directory);
    for (const [name, bytes] of Object.entries({ base, ours, theirs })) {
      writeFileSync(join(directory, name), bytes, { mode: 0o600 });
    }
    return after(this.#parts.mergeText(directory), ({ isClean }) => {
      // What is left of a merge that is not clean helps nobody: the versions have names.
      return { file: isClean ? join(directory, 'merged') : undefined };
    });
  }

  /** Nothing has changed, but the branch's version gets a name, by which people can open it. */
  #refused({ branch, conflicts, theirs }: MergeConflicts, source: string): CommandError {
    const { volume } = this.#parts;
    const snapshot = volume.branchCommands.shownAt(theirs, branch, source);
    const { snapshots } = volume.options.hiddenNames;
    const shown = conflicts.slice(0, ITEMS_MAX).map((conflict) => {
      const { theirsPath } = conflict;
      const isShown = snapshot !== undefined && theirsPath !== null;
      return {
        ...shownConflict(conflict),
        theirsPath: isShown ? textOfByteString(`${snapshots}/${snapshot}/${theirsPath}`) : null,
      };
    });
    const lines = shown.slice(0, TOLD_MAX).map((conflict) => `  ${conflictText(conflict)}`);
    if (conflicts.length > lines.length)
      lines.push(`  and ${conflicts.length - lines.length} more`);
    const count = conflicts.length === 1 ? '1 file is' : `${conflicts.length} files are`;
    return new CommandError(
      'merge-conflicts',
      'EBUSY',
      [
        `${count} in conflict with branch ${branch}; nothing was changed:`,
        ...lines,
        '--ours, --theirs or --text says what becomes of them (ours=yes, theirs=yes, text=yes in the control file)',
      ].join('\n'),
      {
        branch,
        conflicts: shown,
        conflictCount: conflicts.length,
        snapshot: snapshot ?? null,
      },
    );
  }
}

function timingsOf(answer: Answer | undefined): Answer {
  if (answer === undefined) return {};
  const { timings, coherence } = answer;
  return { timings, ...(coherence !== undefined && { coherence }) };
}

interface ShownConflict {
  reasons: MergeConflict['reasons'];
  oursPath: string | null;
  branchPath: string | null;
  basePath: string | null;
  theirsPath: string | null;
}

function conflictText({
  reasons,
  oursPath,
  branchPath,
  basePath,
  theirsPath,
}: ShownConflict): string {
  const path = shownName(oursPath ?? branchPath ?? basePath ?? '');
  const theirs = theirsPath === null ? '' : ` (theirs: ${shownName(theirsPath)})`;
  return `${path}: ${reasons.map((reason) => REASONS[reason]).join(', ')}${theirs}`;
}

/** Paths below the mountpoint; `branchPath` is the one in the branch's own tree. */
function shownConflict({ reasons, type, basePath, oursPath, theirsPath }: MergeConflict) {
  const text = (path: string | null): string | null =>
    path === null ? null : textOfByteString(path);
  return {
    reasons,
    type,
    basePath: text(basePath),
    oursPath: text(oursPath),
    branchPath: text(theirsPath),
    theirsPath: null as string | null,
  };
}

function shownItem({ path, oldPath, size, ...rest }: MergeItem): object {
  return {
    ...rest,
    path: textOfByteString(path),
    ...(oldPath !== undefined && { oldPath: textOfByteString(oldPath) }),
    ...(size !== undefined && { sizeBytes: size }),
  };
}

/** The answer of a merge, or of its preview. */
export function shownMerge(
  { items, conflicts, ...rest }: MergeAnswer | PlannedMerge,
  limit = ITEMS_MAX,
): Answer {
  return {
    ...rest,
    items: items.slice(0, limit).map(shownItem),
    truncated: items.length > limit,
    conflicts: conflicts.slice(0, ITEMS_MAX).map(shownConflict),
    conflictCount: conflicts.length,
  };
}
