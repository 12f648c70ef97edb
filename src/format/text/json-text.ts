/**
 * JSON with names of any bytes. A text in which every byte is UTF-8 stands as it
 * is. One with other bytes (byte-text.ts) stands in its shown form, for people,
 * and its bytes follow in base64: `"path":"\"a\\xff\"","pathBase64":"Yf8="`. The
 * texts of a list have theirs in a second list, with null for those that need
 * none. `message` is a sentence and has no bytes of its own.
 *
 * What must hold: `fromJson(toJson(x))` is x, except for messages, and except
 * for keys that end in Base64, which nobody else gives. Pure.
 */
import {
  bytesOfText,
  hasRawBytes,
  shownName,
  shownText,
  textOfBytes,
} from '../../lib/byte-text.js';

const SUFFIX = 'Base64';
/** What JSON.stringify makes of a lone surrogate that stands for a byte. */
const RAW_IN_JSON = /\\udc[89a-f]/;

export function toJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent);
  return RAW_IN_JSON.test(text ?? '') ? JSON.stringify(withBytes(value), undefined, indent) : text;
}

/** One JSON object on one line, newline included: the form of every answer and state file. */
export function jsonLine(value: unknown): string {
  return `${toJson(value)}\n`;
}

function base64(text: string): string | null {
  return hasRawBytes(text) ? bytesOfText(text).toString('base64') : null;
}

function withBytes(value: unknown): unknown {
  if (typeof value === 'string') return hasRawBytes(value) ? shownName(value) : value;
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== 'object' || value === null) return value;
  const made: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (key === 'message' && typeof item === 'string') {
      made.push([key, hasRawBytes(item) ? shownText(item) : item]);
      continue;
    }
    made.push([key, withBytes(item)]);
    const bytes = bytesOf(item);
    if (bytes !== undefined) made.push([`${key}${SUFFIX}`, bytes]);
  }
  return Object.fromEntries(made);
}

/** The bytes that an item needs beside it. */
function bytesOf(item: unknown): string | (string | null)[] | undefined {
  if (typeof item === 'string') return base64(item) ?? undefined;
  if (!Array.isArray(item)) return undefined;
  const list = item.map((one) => (typeof one === 'string' ? base64(one) : null));
  return list.every((one) => one === null) ? undefined : list;
}

/** Throws SyntaxError. */
export function fromJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return text.includes(`${SUFFIX}":`) ? withTexts(value) : value;
}

function withTexts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withTexts);
  if (typeof value !== 'object' || value === null) return value;
  const made: [string, unknown][] = [];
  const given = value as Record<string, unknown>;
  for (const [key, item] of Object.entries(given)) {
    if (key.endsWith(SUFFIX) && Object.hasOwn(given, key.slice(0, -SUFFIX.length))) continue;
    made.push([key, textOf(withTexts(item), given[`${key}${SUFFIX}`])]);
  }
  return Object.fromEntries(made);
}

function textOf(item: unknown, bytes: unknown): unknown {
  if (typeof bytes === 'string') return textOfBytes(Buffer.from(bytes, 'base64'));
  if (!Array.isArray(item) || !Array.isArray(bytes)) return item;
  return item.map((one, i) => textOf(one, bytes[i]));
}
