/**
 * The journal of an apply (rules A4, A10): what it says. `journal-file.ts` writes
 * and reads it: a file beside the volume's own, from before the first change of
 * the base until everything is stored, so that an apply which was cut off is
 * undone (nothing has changed place yet) or completed (it may have).
 *
 * What must hold: it names everything that completing needs, so that neither the
 * plan nor the tree is asked again. A step is small, however much is applied.
 */
import type { FileTimes } from '../../libc/files.js';

export const JOURNAL_FILE = 'apply.journal';

/** The hidden directory of the base in which an apply makes what is new (rule A6). */
export function stagingName(uuid: string): string {
  return `.shadowfs-apply-${uuid.slice(0, 8)}`;
}

/** What a step does to the base file of an inode. */
export interface Final {
  ino: number;
  /** Where the base file is now; absent: the base has nothing of it any more. */
  path?: string;
}

/** Records of files below a directory that moves; further ones follow in steps of their own. */
export interface Relocation {
  inos: number[];
  from: string;
  to: string;
  /** The next step has more of them, and nothing is read in between. */
  goesOn?: true;
}

interface Effects {
  finals?: Final[];
  relocation?: Relocation;
}

/** `host`: the host inode of the object that is to be at the end of the step where it says. */
export type Step = Effects &
  (
    | { do: 'link'; from: string; to: string; host: number }
    | { do: 'move'; from: string; to: string; host: number; trash: string }
    | { do: 'drop'; path: string; host: number; trash: string }
    | {
        do: 'attributes';
        path: string;
        mode: number;
        uid: number;
        gid: number;
        times: FileTimes;
        /** Values as byte strings. */
        xattrs?: [name: string, value: string][];
      }
    /** Nothing more is done: it has effects for which there is no room in the step before. */
    | { do: 'note' }
  );

export interface Part {
  /** Below the root, a byte string; '' is the whole tree. */
  path: string;
  layer: number;
}

/** The apply takes another one back, or does it again after that. */
export interface Undoing {
  direction: 'back' | 'forward';
  /** When the other one was. */
  timeMs: number;
  /** What is told of it: `apply src`. */
  what: string;
  /** The snapshot that the base becomes. */
  name: string;
  /** What the base was before the first part of it. */
  left: AppliedState[];
  /** No other part comes after this one. */
  isLast: boolean;
}

/** Paths at which the base was made equal to one layer; none: everything. */
export interface AppliedState {
  paths: string[];
  layer: number;
}

/** What comes before the steps. */
export interface JournalHead {
  /** 'staging': nothing that the base had has changed. */
  state: 'staging' | 'switching';
  /** The hidden directory in the base. */
  staging: string;
  /** The base's own times from before. */
  times: FileTimes;
  /** The layer that is applied. */
  layer: number;
  /** What the volume remembers as applied when it is done. */
  applied: Part[];
  history: { source: string; details: Record<string, unknown>; timeMs: number };
  /** What is applied, byte strings; none: everything. */
  paths?: string[];
  undoing?: Undoing;
}
