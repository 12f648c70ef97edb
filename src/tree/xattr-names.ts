/**
 * Names of extended attributes: which there are, and who sees them. Pure. The
 * kernel checks who may read and change which; all else is left to us.
 */
import { FsError } from '../lib/errors.js';
import { isAclName } from './live/acl.js';
import type { Caller } from './operations.js';

/** Rights of a program beyond its user's; a write takes them away. */
export const CAPABILITY = 'security.capability';
const NAMESPACES = ['user.', 'trusted.', 'security.'];
const TRUSTED_PREFIX = 'trusted.';

/** Throws EOPNOTSUPP for a namespace that there is not, EINVAL for a namespace without a name. */
export function checkAttributeName(name: string, syscall: string): void {
  if (isAclName(name)) return;
  const namespace = NAMESPACES.find((prefix) => name.startsWith(prefix));
  if (namespace === undefined) throw new FsError('EOPNOTSUPP', syscall, name);
  if (name === namespace) throw new FsError('EINVAL', syscall, name);
}

/** Trusted attributes are not even listed to users without privileges. */
export function visibleNames(caller: Caller, names: string[]): string[] {
  if (caller.uid === 0) return names;
  return names.filter((name) => !name.startsWith(TRUSTED_PREFIX));
}
