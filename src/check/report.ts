/** The findings and the progress of a `check`. */
import { shownName, textOfByteString } from '../lib/byte-text.js';
import { messageOf } from '../lib/errors.js';
import { performance } from 'node:perf_hooks';

/**
 * 'damage': stored bytes or rules are broken. 'base': the volume is sound, but
 * its base directory differs from what its records refer to (rule D10).
 */
export type FindingKind = 'damage' | 'base';

export interface Finding {
  kind: FindingKind;
  /** The rule of native-notes/format.md, or 'store' for LMDB's own pages. */
  rule: string;
  /** One sentence for people, without the location. */
  what: string;
  /** Table, inode, layer, path, as far as known. Text, not a byte string. */
  where: string;
}

/** What was checked. */
export interface CheckCounts {
  pages: number;
  /** Versions in tables 1–5. */
  records: number;
  deltaEntries: number;
  layers: number;
  views: number;
  /** Versions of inodes and names checked in views. */
  inodes: number;
  names: number;
}

export interface CheckReport {
  findings: Finding[];
  /** Number of all findings; `findings` keeps the first `MAX_FINDINGS`. */
  count: number;
  counted: CheckCounts;
}

export type OnProgress = (done: number, total: number) => void;

export const MAX_FINDINGS = 1000;
const PROGRESS_MS = 100;
/** The clock is read once per this many ticks. */
const TICKS = 64;

export class CheckState {
  readonly findings: Finding[] = [];
  readonly counted: CheckCounts = {
    pages: 0,
    records: 0,
    deltaEntries: 0,
    layers: 0,
    views: 0,
    inodes: 0,
    names: 0,
  };
  count = 0;
  total = 0;
  #done = 0;
  #ticks = 0;
  #toldMs = 0;

  constructor(readonly onProgress: OnProgress | undefined) {}

  add(rule: string, what: string, where: string, kind: FindingKind = 'damage'): void {
    this.count++;
    if (this.findings.length < MAX_FINDINGS) this.findings.push({ kind, rule, what, where });
  }

  /** Counts one more record. Reports progress at most every PROGRESS_MS. */
  tick(): void {
    this.#done++;
    if (this.onProgress === undefined || ++this.#ticks < TICKS) return;
    this.#ticks = 0;
    const nowMs = performance.now();
    if (nowMs - this.#toldMs < PROGRESS_MS) return;
    this.#toldMs = nowMs;
    this.onProgress(Math.min(this.#done, this.total), this.total);
  }

  /** Runs one part; an exception becomes a finding, and the check continues. */
  guard(rule: string, where: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      this.add(rule, messageOf(error), where);
    }
  }

  report(): CheckReport {
    if (this.onProgress !== undefined && this.total > 0) this.onProgress(this.total, this.total);
    return { findings: this.findings, count: this.count, counted: this.counted };
  }
}

/** A byte string for people. */
export function shownBytes(name: string): string {
  return shownName(textOfByteString(name));
}
