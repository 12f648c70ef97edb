/**
 * Notes: what people say about a snapshot when they save it. Any UTF-8 text up
 * to a bound, in one line or in several. Pure.
 *
 * What must hold: a stored note is not empty, has no NUL, and neither begins
 * nor ends with white space, so that two notes that look the same are the same.
 */
import { CommandError } from '../../lib/errors.js';

/** Bytes of UTF-8: room for a page of text, and a header of a stream still fits into its frame. */
export const MAX_NOTE_BYTES = 4096;

/** Why the text can't be a note as it is; undefined: it can. */
export function noteObjection(text: string): string | undefined {
  if (text === '') return 'it is empty';
  if (Buffer.byteLength(text) > MAX_NOTE_BYTES) return `it is longer than ${MAX_NOTE_BYTES} bytes`;
  if (text.includes('\0')) return 'it holds a NUL byte';
  if (/\p{Surrogate}/u.test(text)) return 'it is not valid Unicode';
  if (text.trim() !== text) return 'it begins or ends with white space';
  return undefined;
}

/** The note of a text that a person gives. Throws `bad-note`. */
export function noteOf(text: string): string {
  const note = text.trim();
  const objection = noteObjection(note);
  if (objection === undefined) return note;
  throw new CommandError('bad-note', 'EINVAL', `the note can't be kept: ${objection}`);
}

/** A note that no person gave: the text, made fit. */
export function automaticNote(text: string): string {
  const fit = text.replaceAll(/[\0\p{Surrogate}]/gu, '\ufffd').slice(0, MAX_NOTE_BYTES / 4);
  // The cut may have halved a character of two units.
  return fit.replaceAll(/\p{Surrogate}/gu, '').trim();
}

/** In one line: white space with a line break in it is shown as one mark. */
export function foldedNote(note: string): string {
  return note.replace(/\s*[\n\r\u2028\u2029]\s*/g, ' ⏎ ');
}
