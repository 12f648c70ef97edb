/**
 * Which requests a trace shows: `op=LOOKUP,GETATTR path=GLOB slow=MS`, one line
 * written to `trace`. Pure.
 */
import { CommandError } from '../../lib/errors.js';
import { byteStringOfText } from '../../lib/byte-text.js';
import { parseCommandLine } from '../../format/text/grammar.js';
import type { TraceEntry } from '../../measure/trace-entry.js';

export interface TraceFilter {
  /** Absent: all. */
  ops?: ReadonlySet<string>;
  /** A pattern; without a slash it applies to the last name only. */
  path?: string;
  slowMs: number;
}

export const EVERYTHING: TraceFilter = { slowMs: 0 };

const WORDS: ReadonlySet<string> = new Set(['op', 'path', 'slow', 'by']);

function bad(message: string): CommandError {
  return new CommandError('bad-command-line', 'EINVAL', message, {
    expected: '[op=KIND,KIND…] [path=GLOB] [slow=MS]',
    example: 'echo op=LOOKUP,GETATTR slow=10 > .control/trace',
  });
}

/** The kinds of request in `text`, upper case. Throws CommandError, which lists the known ones. */
export function parseTraceOps(text: string, known: readonly string[]): ReadonlySet<string> {
  const ops = new Set(text.toUpperCase().split(','));
  const unknown = [...ops].filter((op) => !known.includes(op));
  if (unknown.length === 0) return ops;
  throw bad(`there is no request ${unknown.join(', ') || '""'}; known: ${known.join(' ')}`);
}

/** `known`: the kinds of request. Throws CommandError `bad-command-line`. */
export function parseTraceFilter(line: string | Uint8Array, known: readonly string[]): TraceFilter {
  const { name, options } = parseCommandLine(line);
  const stranger = name ?? [...options.keys()].find((word) => !WORDS.has(word));
  if (stranger !== undefined) throw bad(`unexpected word ${stranger}`);
  const op = options.get('op');
  const path = options.get('path');
  const slow = options.get('slow') ?? '0';
  const slowMs = Number(slow);
  if (slow === '' || !(slowMs >= 0)) throw bad(`slow=${slow}: expected milliseconds`);
  return {
    ...(op !== undefined && { ops: parseTraceOps(op, known) }),
    ...(path !== undefined && { path: byteStringOfText(path) }),
    slowMs,
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
export function mayShow(filter: TraceFilter, op: string, tookMs: number): boolean {
  return tookMs >= filter.slowMs && (filter.ops === undefined || filter.ops.has(op));
}

export function shows(filter: TraceFilter, entry: TraceEntry): boolean {
  if (!mayShow(filter, entry.op, entry.tookMs)) return false;
  const { path: pattern } = filter;
  if (pattern === undefined) return true;
  return (
    pathMatches(entry.path, pattern) ||
    (entry.newPath !== undefined && pathMatches(entry.newPath, pattern))
  );
}
