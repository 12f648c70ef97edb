/**
 * Names of extended attributes (xattrs): which are valid, and who sees them.
 * Pure. The kernel checks who may read and change an xattr; the rest is left to
 * us.
 */
import { FsError } from '../lib/errors.js';
import { isAclName } from './live/acl.js';
import type { Caller } from './operations.js';

/** Privileges of a program beyond its user's; a write removes them. */
export const CAPABILITY = 'security.capability';
const NAMESPACES = ['user.', 'trusted.', 'security.'];
const TRUSTED_PREFIX = 'trusted.';

/** Throws EOPNOTSUPP for an unknown namespace, EINVAL for a namespace without a name. */
export function checkAttributeName(name: string, syscall: string): void {
  if (isAclName(name)) return;
  const namespace = NAMESPACES.find((prefix) => name.startsWith(prefix));
  if (namespace === undefined) throw new FsError('EOPNOTSUPP', syscall, name);
  if (name === namespace) throw new FsError('EINVAL', syscall, name);
}

/** Users without privileges do not see trusted xattrs in listings. */
export function visibleNames(caller: Caller, names: string[]): string[] {
  if (caller.uid === 0) return names;
  return names.filter((name) => !name.startsWith(TRUSTED_PREFIX));
}
