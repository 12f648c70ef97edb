/**
 * Names of any bytes as text. A name is bytes; nearly always they are UTF-8.
 * Three forms of the same bytes:
 * - *text*: what people, arguments and JSON have. A byte that is no part of
 *   valid UTF-8 is one lone surrogate, U+DC80 to U+DCFF (as Python's
 *   `surrogateescape`), so no byte is lost and no two names are one text.
 * - *byte string*: one character per byte (latin1), as the volume and libc have.
 * - *shown*: what is printed. Names with a control character, a quote, a
 *   backslash or such a byte stand in double quotes, with `\\`, `\"` and `\xNN`;
 *   the control files understand this form. All other names stand as they are.
 *
 * What must hold: `bytesOfText(textOfBytes(x))` is x for any bytes; two names
 * never have the same shown form. Pure.
 */

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ESCAPE = 0xdc00;
/** A lone surrogate that stands for a byte. */
const RAW_BYTE = /(?<![\ud800-\udbff])[\udc80-\udcff]/;
const RAW_BYTES = new RegExp(RAW_BYTE, 'g');
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must be shown.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f]/;
const UNSAFES = new RegExp(UNSAFE, 'g');
const SPECIAL = new RegExp(`${UNSAFE.source}|["\\\\]|${RAW_BYTE.source}`);
const ESCAPED = new RegExp(SPECIAL, 'g');

/** Text of UTF-8 bytes, or undefined when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The length of the valid UTF-8 sequence at `at`; 0: none begins there. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  for (let i = 1; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1] ?? 0;
  // Longer than needed, a surrogate, or beyond U+10FFFF.
  if (first === 0xe0 && second < 0xa0) return 0;
  if (first === 0xed && second > 0x9f) return 0;
  if (first === 0xf0 && second < 0x90) return 0;
  if (first === 0xf4 && second > 0x8f) return 0;
  return length;
}

export function textOfBytes(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text !== undefined) return text;
  const parts: string[] = [];
  let valid = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    parts.push(strictUtf8.decode(bytes.subarray(valid, at)));
    parts.push(String.fromCharCode(ESCAPE + (bytes[at] as number)));
    at++;
    valid = at;
  }
  parts.push(strictUtf8.decode(bytes.subarray(valid)));
  return parts.join('');
}

export function bytesOfText(text: string): Buffer {
  if (!hasRawBytes(text)) return Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  let from = 0;
  for (const { index } of text.matchAll(RAW_BYTES)) {
    parts.push(Buffer.from(text.slice(from, index), 'utf8'));
    parts.push(Buffer.of(text.charCodeAt(index) - ESCAPE));
    from = index + 1;
  }
  parts.push(Buffer.from(text.slice(from), 'utf8'));
  return Buffer.concat(parts);
}

/** The text has bytes that are not UTF-8. */
export function hasRawBytes(text: string): boolean {
  return RAW_BYTE.test(text);
}

export function textOfByteString(name: string): string {
  return textOfBytes(Buffer.from(name, 'latin1'));
}

export function byteStringOfText(text: string): string {
  return bytesOfText(text).toString('latin1');
}

/** A path for Node's functions, which take bytes where a text would lose some. */
export function fsPath(text: string): string | Buffer {
  return hasRawBytes(text) ? bytesOfText(text) : text;
}

function hexByte(char: string): string {
  return `\\x${(char.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`;
}

/** A control character is its UTF-8 bytes: above U+007F these are two. */
function hexOf(char: string): string {
  const code = char.charCodeAt(0);
  if (code < 0x80 || code >= ESCAPE) return hexByte(char);
  return byteStringOfText(char).replace(/./gs, hexByte);
}

/** A text in double quotes. */
export function quoted(text: string): string {
  const inner = text.replace(ESCAPED, (char) =>
    char === '"' || char === '\\' ? `\\${char}` : hexOf(char),
  );
  return `"${inner}"`;
}

/** A name or path, shown. */
export function shownName(text: string): string {
  return SPECIAL.test(text) ? quoted(text) : text;
}

/** A sentence for a terminal, which control characters would change. */
export function shownText(text: string): string {
  return text.replace(UNSAFES, hexOf).replace(RAW_BYTES, hexByte);
}
