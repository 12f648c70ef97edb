/** For what may be gone, or is nobody's to see: undefined when `look` throws. */
export function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
