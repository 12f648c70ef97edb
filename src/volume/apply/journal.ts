/**
 * The journal of an apply (rule A4): a file beside the volume's own, from before
 * the first change of the base until everything is stored. It says what was
 * going to be done, so that an apply which was cut off is undone (nothing has
 * changed place yet) or completed (it may have).
 *
 * What must hold: a journal is there whole or not at all; it names everything
 * that completing needs, so that neither the plan nor the tree is asked again.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { flushDirectory, replaceFile, temporaryPath } from '../../lib/durable-file.js';
import { CorruptionError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
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

/** Records of files below a directory that moves. */
export interface Relocation {
  inos: number[];
  from: string;
  to: string;
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

export interface Journal {
  /** 'staging': nothing that the base had has changed. */
  state: 'staging' | 'switching';
  /** The hidden directory in the base. */
  staging: string;
  /** The base's own times from before. */
  times: FileTimes;
  /** The layer that is applied. */
  layer: number;
  steps: Step[];
  /** What the volume remembers as applied when it is done. */
  applied: Part[];
  history: { source: string; details: Record<string, unknown>; timeMs: number };
  /** What is applied, byte strings; none: everything. */
  paths?: string[];
  undoing?: Undoing;
}

/** Replaces the journal; durable when it returns. */
export function writeJournal(volume: string, journal: Journal): void {
  const body = Buffer.from(JSON.stringify(journal));
  const head = Buffer.from(`${crc32(body).toString(16).padStart(8, '0')}\n`);
  replaceFile(join(volume, JOURNAL_FILE), Buffer.concat([head, body]), 0o600, () =>
    failpoint('apply:journal-written'),
  );
}

/** Undefined: no apply was cut off. Throws CorruptionError. */
export function readJournal(volume: string): Journal | undefined {
  let text: string;
  try {
    text = readFileSync(join(volume, JOURNAL_FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const body = text.slice(9);
  if (crc32(Buffer.from(body)) !== Number.parseInt(text.slice(0, 8), 16)) {
    throw new CorruptionError('journal of an apply', join(volume, JOURNAL_FILE));
  }
  return JSON.parse(body) as Journal;
}

export function removeJournal(volume: string): void {
  const file = join(volume, JOURNAL_FILE);
  rmSync(file, { force: true });
  rmSync(temporaryPath(file), { force: true });
  flushDirectory(volume);
}
