/**
 * Parsers for the values of options and arguments. Each says what it expects;
 * commander adds which option it was, and the command ends with exit code 2.
 */
import { InvalidArgumentError } from 'commander';
import { nearMatches } from '../format/text/grammar.js';
import { parseDuration } from '../format/text/duration.js';
import { MOMENT_FORMS, parseMoment } from '../format/text/moment.js';

function expected(what: string): InvalidArgumentError {
  return new InvalidArgumentError(`Expected ${what}.`);
}

/** For counts. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw expected(`a whole number from ${least}, such as ${Math.max(least, 10)}`);
  };
}

/** For lengths of time in a fixed unit: `1`, `0.5`. */
export function numberAbove(bound: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d*\.?\d+$|^\d+\.$/.test(text) && value > bound) return value;
    throw expected(`a number above ${bound}, such as 5 or 0.5`);
  };
}

/** The text of a length of time. */
export function durationText(text: string): string {
  if (parseDuration(text) !== undefined) return text;
  throw expected('a length of time: a number with s, m, h, d or w, such as 90s, 15m or 7d');
}

/** A point in time, as ms since 1970. */
export function momentMs(text: string): number {
  const ms = parseMoment(text, Date.now());
  if (ms !== undefined) return ms;
  throw expected(MOMENT_FORMS);
}

/** One of a few words. */
export function oneOf<W extends string>(...words: readonly W[]): (text: string) => W {
  return (text) => {
    const word = words.find((one) => one === text);
    if (word !== undefined) return word;
    const [near] = nearMatches(text, words);
    const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
    throw new InvalidArgumentError(
      `Expected ${words.slice(0, -1).join(', ')} or ${words.at(-1)}${hint}.`,
    );
  };
}
