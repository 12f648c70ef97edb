/**
 * Tests on mounts that run as one identity: what peers do to each other does not
 * depend on who they are, and one test of each file shows that it works for
 * root, too.
 */
import type { Test } from 'tap';
import { identities, inWorld, ROOT, type World } from '../mount/harness.js';

/** As an ordinary user, where there is a choice. */
export function asUser(
  t: Test,
  title: string,
  body: (t: Test, world: World) => Promise<void>,
): void {
  const identity = identities().at(-1) ?? ROOT;
  t.test(`${title}, as ${identity.name}`, (t) => inWorld(t, identity, (world) => body(t, world)));
}
