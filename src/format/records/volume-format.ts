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
  /** The base may have bytes of files that the tree made (rule G7). */
  hasGiven: boolean;
}

const FIRST = 1;
const LOG = 1;
const APPLIED = 2;
const BRANCHES = 4;
const MERGES = 8;
const GIVEN = 16;
export const NEWEST_FORMAT = FIRST + LOG + APPLIED + BRANCHES + MERGES + GIVEN;

export const FIRST_USE: FormatUse = {
  hasLog: false,
  isApplied: false,
  hasBranches: false,
  hasMerges: false,
  hasGiven: false,
};

export function formatOf(use: FormatUse): number {
  const { hasLog, isApplied, hasBranches, hasMerges, hasGiven } = use;
  let format = FIRST;
  if (hasLog) format += LOG;
  if (isApplied) format += APPLIED;
  if (hasBranches) format += BRANCHES;
  if (hasMerges) format += MERGES;
  if (hasGiven) format += GIVEN;
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
    hasGiven: (bits & GIVEN) !== 0,
  };
}
