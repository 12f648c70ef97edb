/** How a volume identifies a file of its base directory. */

/** What a base-backed inode stores about its base file (rule D10). */
export interface BaseReference {
  /** Below the base directory, a byte string; '' is the base directory itself. */
  path: string;
  device: number;
  hostInode: number;
  size: number;
  mtimeS: number;
  mtimeNs: number;
  ctimeS: number;
  ctimeNs: number;
  /** The base has nothing of the file any more: all of it is in the base layer (rule F10). */
  isStored?: boolean;
  /**
   * With `isStored`: others had changed the file in the base. What is in the base layer belongs to
   * records with the times of this reference only (rule F11).
   */
  isOther?: boolean;
  /** The volume was frozen without what is read from here: it is lost (rule A14). */
  isLost?: boolean;
}
