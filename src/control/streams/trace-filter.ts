/**
 * Which requests a trace shows: `op=LOOKUP,GETATTR path=GLOB slow=MS`, one line
 * written to `trace`. Pure.
 */
import { FsError } from '../../lib/errors.js';
import { byteStringOfText } from '../../lib/byte-text.js';
import { parseCommandLine } from '../../format/text/grammar.js';
import type { TraceEntry } from '../../measure/trace-entry.js';

export interface TraceFilter {
  /** Absent: all. */
  ops?: ReadonlySet<string>;
  /** A pattern; without a slash it applies to the last name only. */
  path?: string;
  slowUs: number;
}

export const EVERYTHING: TraceFilter = { slowUs: 0 };

const WORDS: ReadonlySet<string> = new Set(['op', 'path', 'slow', 'by']);

/** Throws FsError EINVAL. */
export function parseTraceFilter(line: string | Uint8Array): TraceFilter {
  const refuse = (): FsError => new FsError('EINVAL', 'write', 'trace');
  let parsed: ReturnType<typeof parseCommandLine>;
  try {
    parsed = parseCommandLine(line);
  } catch {
    throw refuse();
  }
  const { name, options } = parsed;
  if (name !== undefined || [...options.keys()].some((word) => !WORDS.has(word))) throw refuse();
  const op = options.get('op');
  const path = options.get('path');
  const slowMs = Number(options.get('slow') ?? 0);
  if (!(slowMs >= 0)) throw refuse();
  return {
    ...(op !== undefined && { ops: new Set(op.toUpperCase().split(',')) }),
    ...(path !== undefined && { path: byteStringOfText(path) }),
    slowUs: slowMs * 1000,
  };
}

/**
 * `*`: any characters, slashes too; `?`: one. The number of steps is at most
 * the product of both lengths.
 */
export function matchesGlob(text: string, pattern: string): boolean {
  let [at, wanted] = [0, 0];
  let [starAt, starWanted] = [0, -1];
  while (at < text.length) {
    const char = pattern[wanted];
    if (char === '*') {
      starAt = at;
      starWanted = wanted++;
    } else if (char !== undefined && (char === '?' || char === text[at])) {
      at++;
      wanted++;
    } else if (starWanted >= 0) {
      // Let the last star match one more character.
      at = ++starAt;
      wanted = starWanted + 1;
    } else {
      return false;
    }
  }
  while (pattern[wanted] === '*') wanted++;
  return wanted === pattern.length;
}

function pathMatches(path: string, pattern: string): boolean {
  if (pattern.includes('/')) return matchesGlob(path, pattern.replace(/^\//, ''));
  return matchesGlob(path.slice(path.lastIndexOf('/') + 1), pattern);
}

/** Tests everything except the path. */
export function mayShow(filter: TraceFilter, op: string, us: number): boolean {
  return us >= filter.slowUs && (filter.ops === undefined || filter.ops.has(op));
}

export function shows(filter: TraceFilter, entry: TraceEntry): boolean {
  if (!mayShow(filter, entry.op, entry.us)) return false;
  const { path: pattern } = filter;
  if (pattern === undefined) return true;
  return (
    pathMatches(entry.path, pattern) || (entry.to !== undefined && pathMatches(entry.to, pattern))
  );
}
