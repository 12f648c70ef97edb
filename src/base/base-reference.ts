/** How a volume names a file of the directory under it, and how it knows that file again. */

/** What a base-backed inode remembers of its base file (rule D10). */
export interface BaseReference {
  /** Below the base, a byte string; '' is the base itself. */
  path: string;
  device: number;
  hostInode: number;
  size: number;
  mtimeS: number;
  mtimeNs: number;
  ctimeS: number;
  ctimeNs: number;
}
