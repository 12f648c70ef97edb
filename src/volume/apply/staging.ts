/**
 * Makes new files, links, devices and directories in the staging directory of
 * the base, with everything that they are to have. What the base had is not
 * touched.
 */
import { DIRECTORY_TYPE, S_IFLNK, S_IFMT, S_IFREG } from '../../lib/file-mode.js';
import { failpoint } from '../../lib/failpoints.js';
import type { Work } from '../../lib/work.js';
import type { BaseStat } from '../../base/base-directory.js';
import type { BaseWriter, FileAttributes } from '../../base/writing/base-writer.js';
import type { Inode } from '../inode.js';
import type { Volume } from '../volume.js';
import type { View } from '../view.js';
import type { ApplyPlan, Made } from './plan.js';

const PIECE_BLOCKS = 8;
const OWNER_MAY_WORK = 0o300;

export function attributesOf(volume: Volume, view: View, inode: Inode): FileAttributes {
  const xattrs = volume.listAttributes(view, inode).flatMap((name) => {
    const value = volume.readAttribute(view, inode, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...plainAttributes(inode), xattrs };
}

export function plainAttributes(inode: Inode): FileAttributes {
  const { mode, uid, gid, atimeS, atimeNs, mtimeS, mtimeNs } = inode;
  return { mode, uid, gid, times: { atimeS, atimeNs, mtimeS, mtimeNs } };
}

/** `onBytes`: progress. Throws FsError (ENOSPC, EIO …). */
export function* stage(
  volume: Volume,
  view: View,
  writer: BaseWriter,
  plan: ApplyPlan,
  onBytes: (bytes: number) => void,
): Work<void> {
  for (const { inode, at } of plan.newDirectories) {
    // Its own mode, if that lets us work in it; else it gets it in the end.
    const mode = inode.mode & 0o7777;
    writer.makeDirectory(at, 0o700);
    if ((mode & OWNER_MAY_WORK) === OWNER_MAY_WORK) {
      writer.setAttributes(at, attributesOf(volume, view, inode));
    }
    yield undefined;
  }
  for (const made of plan.made) {
    yield* make(volume, view, writer, made, onBytes);
    failpoint('apply:staged-one');
  }
}

function* make(
  volume: Volume,
  view: View,
  writer: BaseWriter,
  { inode, at, links }: Made,
  onBytes: (bytes: number) => void,
): Work<void> {
  const type = inode.mode & S_IFMT;
  if (type === S_IFREG) yield* copy(volume, view, writer, inode, at, onBytes);
  else if (type === S_IFLNK) writer.makeSymlink(at, inode.target ?? '');
  else writer.makeNode(at, inode.mode, inode.rdev);
  writer.setAttributes(at, attributesOf(volume, view, inode));
  for (const link of links) writer.link(at, link);
  yield undefined;
}

function* copy(
  volume: Volume,
  view: View,
  writer: BaseWriter,
  inode: Inode,
  at: string,
  onBytes: (bytes: number) => void,
): Work<void> {
  const { blockSize } = volume.options;
  const count = Math.ceil(inode.size / blockSize);
  const room = Buffer.alloc(blockSize);
  const fd = writer.makeFile(at, inode.size);
  try {
    for (let first = 0; first < count; first += PIECE_BLOCKS) {
      first = volume.blocks.firstBlock(view, inode, first, 'data');
      if (first >= count) break;
      const last = Math.min(first + PIECE_BLOCKS, count) - 1;
      for (const [i, { where }] of volume.blocks.sources(view, inode, first, last).entries()) {
        if (where === 'hole' || where === 'none') continue;
        const offset = (first + i) * blockSize;
        const bytes = room.subarray(0, Math.min(blockSize, inode.size - offset));
        volume.waits.patiently(() => {
          volume.read(view, inode, offset, bytes.length, bytes, 0);
        });
        // Only the host knows whether it has a hole there.
        if (where === 'base' && bytes.every((byte) => byte === 0)) continue;
        writer.write(fd, bytes, offset, at);
        onBytes(bytes.length);
      }
      yield undefined;
    }
  } finally {
    writer.closeFile(fd);
  }
}

/**
 * Removes a directory in the base with everything in it. `unlinked` is told of files that have other
 * names.
 */
export function* removeTree(
  writer: BaseWriter,
  path: string,
  unlinked: (stat: BaseStat) => void = () => undefined,
): Work<void> {
  const levels = [{ path, names: writer.names(path) }];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const next = level.names.pop();
    if (next === undefined) {
      writer.removeDirectory(level.path);
      levels.pop();
    } else {
      const child = `${level.path}/${next.name}`;
      const stat = writer.lstat(child);
      if (stat !== undefined && stat.mode >>> 12 === DIRECTORY_TYPE) {
        levels.push({ path: child, names: writer.names(child) });
      } else if (stat !== undefined) {
        writer.unlink(child);
        if (stat.nlink > 1) unlinked(stat);
      }
    }
    yield undefined;
  }
}
