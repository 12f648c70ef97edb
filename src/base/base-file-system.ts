/** What the type of a base directory's file system (`f_type` of statfs(2)) implies. Pure. */

/** On these, directory listings give the same inode numbers as stat, on one device. */
const PLAIN: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x01021994, // tmpfs
  0xf2f52010, // f2fs
]);
const BTRFS = 0x9123683e;

export function isPlainFileSystem(type: number): boolean {
  return PLAIN.has(type);
}

/**
 * True for a disk of this machine, with no other process or machine behind it
 * that may never answer.
 */
export function isNearFileSystem(type: number): boolean {
  return PLAIN.has(type) || type === BTRFS;
}
