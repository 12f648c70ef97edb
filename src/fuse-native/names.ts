/**
 * Converts names and link targets between the tree's byte strings and the
 * package's UTF-8 texts. Pure.
 *
 * Bytes that are not UTF-8 go out as private-use characters (U+F780 to U+F7FF),
 * one for each byte from 0x80, and come back as those bytes. The package itself
 * turns incoming bytes of this kind into U+FFFD: the original bytes are lost,
 * so nothing can be made under such a name.
 */
import { isUtf8 } from 'node:buffer';
import { FsError } from '../lib/errors.js';

const ESCAPE_BASE = 0xf700;

const isPlain = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false;
  return true;
};

/** The text that programs see for a byte string. */
export function textOfBytes(name: string): string {
  if (isPlain(name)) return name;
  const bytes = Buffer.from(name, 'latin1');
  if (isUtf8(bytes)) {
    const text = bytes.toString('utf8');
    if (!/[\uf780-\uf7ff]/.test(text)) return text;
  }
  return name.replace(/[\x80-\xff]/g, (byte) =>
    String.fromCharCode(ESCAPE_BASE + byte.charCodeAt(0)),
  );
}

/** The byte string for a program's text. */
export function bytesOfText(text: string): string {
  if (isPlain(text)) return text;
  return text
    .split(/([\uf780-\uf7ff])/)
    .map((part, i) =>
      i % 2 === 1
        ? String.fromCharCode(part.charCodeAt(0) - ESCAPE_BASE)
        : Buffer.from(part, 'utf8').toString('latin1'),
    )
    .join('');
}

/** For names to be made: throws EINVAL when the package lost bytes. */
export function refuseMangled(text: string, syscall: string): void {
  if (text.includes('\ufffd')) throw new FsError('EINVAL', syscall, text);
}

/** The directory and the last name of an absolute path other than `/`. */
export function splitPath(path: string): { directory: string; name: string } {
  const slash = path.lastIndexOf('/');
  return { directory: slash === 0 ? '/' : path.slice(0, slash), name: path.slice(slash + 1) };
}
