/**
 * Long lists in answers, as the text that JSON has of them: made in pieces, or
 * by another thread, so that the thread that serves never makes a long text at
 * once. Plain data, which goes from thread to thread.
 */
import type { Work } from '../../lib/work.js';
import { jsonLine, toJson } from './json-text.js';

/** A list of objects. */
export interface ListText {
  listText: Uint8Array;
}

/** Shorter lists stay as they are. */
const LONG = 1000;
const AT_ONCE = 64;

function isListText(value: unknown): value is ListText {
  return (value as Partial<ListText> | null)?.listText instanceof Uint8Array;
}

/** The answer, with the long lists of objects in it as texts. */
export function* withListTexts<T extends Record<string, unknown>>(answer: T): Work<T> {
  const made: Record<string, unknown> = { ...answer };
  for (const [key, value] of Object.entries(answer)) {
    if (!Array.isArray(value) || value.length <= LONG || typeof value[0] !== 'object') continue;
    made[key] = yield* textOfList(value as unknown[]);
  }
  return made as T;
}

function* textOfList(list: readonly unknown[]): Work<ListText> {
  const pieces: Buffer[] = [];
  for (let from = 0; from < list.length; from += AT_ONCE) {
    const text = toJson(list.slice(from, from + AT_ONCE)).slice(1, -1);
    pieces.push(Buffer.from(from === 0 ? `[${text}` : `,${text}`));
    yield undefined;
  }
  return { listText: Buffer.concat([...pieces, Buffer.from(']')]) };
}

/** As `jsonLine`. */
export function answerLine(answer: Record<string, unknown>): Buffer {
  const entries = Object.entries(answer);
  const lists = entries.filter(([, value]) => isListText(value)) as [string, ListText][];
  if (lists.length === 0) return Buffer.from(jsonLine(answer));
  const rest = toJson(Object.fromEntries(entries.filter(([, value]) => !isListText(value))));
  const parts: Uint8Array[] = [Buffer.from(rest.slice(0, -1))];
  let separator = rest === '{}' ? '' : ',';
  for (const [key, { listText }] of lists) {
    parts.push(Buffer.from(`${separator}${JSON.stringify(key)}:`), listText);
    separator = ',';
  }
  return Buffer.concat([...parts, Buffer.from('}\n')]);
}

/** For those who are told of many answers: long lists are left out. */
export function withoutLists(answer: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(answer);
  if (!entries.some(([, value]) => isListText(value))) return answer;
  const kept = entries.map(([key, value]) => [key, isListText(value) ? [] : value] as const);
  return { ...Object.fromEntries(kept), truncated: true };
}
