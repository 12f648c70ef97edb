/** The programs that the tests of this directory start, as the world's identity reaches them. */
import path from 'node:path';
import type { World } from '../mount/harness.js';

export function fixture(world: World, name: string): string {
  return path.join(world.checkout, 'test/posix/fixtures', name);
}
