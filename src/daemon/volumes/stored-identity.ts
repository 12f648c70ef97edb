/** What a volume itself remembers of its base, as the registry has it. Pure. */
import type { StoredBase } from '../../volume/create-volume.js';
import type { DirectoryIdentity } from './directory-identity.js';

export function storedIdentity(base: StoredBase): DirectoryIdentity {
  const { device, hostInode, btimeS, btimeNs } = base;
  return { fsid: '0', device, inode: hostInode, btimeS, btimeNs };
}
