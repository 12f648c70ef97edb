/**
 * Mounts as descriptors (Linux 5.2): a copy of a mount that is attached nowhere, and where it is
 * attached. A descriptor passes from one mount namespace to another, which a path does not.
 */
import { AT_FDCWD } from './constants.js';
import { glibc, result, scratchPath } from './library.js';

const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

const callOpenTree: (number: number, dir: number, path: Uint8Array, flags: number) => number =
  glibc.func('int64_t syscall(int64_t, int, void *, uint32_t)');
const callMoveMount: (
  number: number,
  from: number,
  fromPath: Uint8Array,
  to: number,
  toPath: Uint8Array,
  flags: number,
) => number = glibc.func('int64_t syscall(int64_t, int, void *, int, void *, uint32_t)');

const EMPTY = new Uint8Array(1);

/** A copy of the mount at `path`: the mount lives as long as the descriptor. Or -errno. */
export function copyMount(path: string): number {
  const unfit = scratchPath.set(path);
  if (unfit < 0) return unfit;
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  return result(callOpenTree(SYS_OPEN_TREE, AT_FDCWD, scratchPath.bytes, flags));
}

/** Attaches such a copy at `path`, in the mount namespace of this process. 0, or -errno. */
export function attachMount(fd: number, path: string): number {
  const unfit = scratchPath.set(path);
  if (unfit < 0) return unfit;
  return result(
    callMoveMount(SYS_MOVE_MOUNT, fd, EMPTY, AT_FDCWD, scratchPath.bytes, MOVE_MOUNT_F_EMPTY_PATH),
  );
}
