/**
 * Numbers of the Linux system call interface that Node.js does not offer.
 *
 * They hold on x86-64 and arm64 with glibc. The few open flags that differ
 * between the two are taken from Node's own table.
 */
import { constants } from 'node:fs';

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;
/** Don't trigger automounts below a base directory. */
export const AT_NO_AUTOMOUNT = 0x800;

export const O_RDONLY = constants.O_RDONLY;
export const O_WRONLY = constants.O_WRONLY;
export const O_RDWR = constants.O_RDWR;
export const O_CREAT = constants.O_CREAT;
export const O_EXCL = constants.O_EXCL;
export const O_TRUNC = constants.O_TRUNC;
export const O_APPEND = constants.O_APPEND;
export const O_NONBLOCK = constants.O_NONBLOCK;
export const O_DIRECTORY = constants.O_DIRECTORY;
export const O_NOFOLLOW = constants.O_NOFOLLOW;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

/** `openat2`: how a path may be resolved. */
export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;

export const SEEK_SET = 0;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export const FALLOC_FL_KEEP_SIZE = 0x01;
export const FALLOC_FL_PUNCH_HOLE = 0x02;

export const POLLIN = 0x001;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLNVAL = 0x020;

export const MS_RDONLY = 0x01;
export const MS_NOSUID = 0x02;
export const MS_NODEV = 0x04;
export const MS_NOEXEC = 0x08;
export const MS_REMOUNT = 0x20;
export const MS_NOATIME = 0x400;

/** `umount2`. */
export const MNT_FORCE = 0x01;
export const MNT_DETACH = 0x02;
export const UMOUNT_NOFOLLOW = 0x08;

/** d_type of a directory entry; shifted left by 12 it is the S_IFMT part of st_mode. */
export const DT_UNKNOWN = 0;
export const DT_DIR = 4;
export const DT_REG = 8;
export const DT_LNK = 10;

/** `mallopt` parameters. */
export const M_TRIM_THRESHOLD = -1;
export const M_TOP_PAD = -2;
export const M_MMAP_THRESHOLD = -3;
export const M_ARENA_MAX = -8;

/** `posix_fadvise`. */
export const FADVISE_RANDOM = 1;
export const FADVISE_WILLNEED = 3;

/** File system types that `fstatfs` gives. */
export const FUSE_SUPER_MAGIC = 0x65735546;
export const BTRFS_SUPER_MAGIC = 0x9123683e;
export const TMPFS_MAGIC = 0x01021994;

/** File flags: what is written anew goes to its old place. */
export const FS_NOCOW_FL = 0x00800000;
