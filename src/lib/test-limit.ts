/** A limit in milliseconds that a test has set in the environment; undefined: none. */
export function testLimitMs(name: string): number | undefined {
  const text = process.env[name] ?? '';
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
