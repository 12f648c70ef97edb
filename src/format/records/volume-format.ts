/**
 * The stored format version (`meta/format`). A volume has the lowest version
 * that every shadowfs which could misread it refuses: 1, and more for what it
 * uses. Pure.
 */
import { isCount } from '../../lib/fields.js';

export interface FormatUse {
  /** The intent log may hold changes that the tables do not have. */
  hasLog: boolean;
  /** The base layer may hold something, or the base was made equal to the tree (rule A7). */
  isApplied: boolean;
  /** There are branches but `main` (rule B1). */
  hasBranches: boolean;
  /** Merges are remembered, and their states kept (rule M2). */
  hasMerges: boolean;
}

const FIRST = 1;
const LOG = 1;
const APPLIED = 2;
const BRANCHES = 4;
const MERGES = 8;
export const NEWEST_FORMAT = FIRST + LOG + APPLIED + BRANCHES + MERGES;

export const FIRST_USE: FormatUse = {
  hasLog: false,
  isApplied: false,
  hasBranches: false,
  hasMerges: false,
};

export function formatOf({ hasLog, isApplied, hasBranches, hasMerges }: FormatUse): number {
  let format = FIRST;
  if (hasLog) format += LOG;
  if (isApplied) format += APPLIED;
  if (hasBranches) format += BRANCHES;
  if (hasMerges) format += MERGES;
  return format;
}

/** Undefined: it is not a version that this shadowfs knows. */
export function formatUse(format: unknown): FormatUse | undefined {
  if (!isCount(format) || format < FIRST || format > NEWEST_FORMAT) return undefined;
  const bits = format - FIRST;
  return {
    hasLog: (bits & LOG) !== 0,
    isApplied: (bits & APPLIED) !== 0,
    hasBranches: (bits & BRANCHES) !== 0,
    hasMerges: (bits & MERGES) !== 0,
  };
}
