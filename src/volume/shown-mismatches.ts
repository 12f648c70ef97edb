/** Files of the base that changed underneath, for people. */
import { textOfByteString } from '../lib/byte-text.js';
import type { BaseDirectory } from '../base/base-directory.js';
import type { BaseReference } from '../base/base-reference.js';

export function shownMismatches(base: BaseDirectory | undefined): object[] {
  return (base?.mismatches ?? []).map(({ path, timeMs, expected, found }) => ({
    path: textOfByteString(path),
    timeMs,
    inVolume: shownReference(expected),
    inBase: shownReference(found),
  }));
}

/** A base file as it was, or is. */
function shownReference(reference: BaseReference | undefined): object | null {
  if (reference === undefined) return null;
  const { size, mtimeS, mtimeNs } = reference;
  return { sizeBytes: size, mtimeMs: mtimeS * 1000 + Math.floor(mtimeNs / 1e6) };
}
