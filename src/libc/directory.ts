/** Reading directories by descriptor, with names as bytes. */
import { rewind } from './libc.js';
import { glibc, result } from './library.js';

export interface DirectoryEntry {
  /** Byte string. */
  name: string;
  ino: number;
  /** DT_*; DT_UNKNOWN where the file system doesn't tell. */
  type: number;
}

const callGetdents64: (fd: number, out: Uint8Array, size: number) => number = glibc.func(
  'int64_t getdents64(int, void *, uint64_t)',
);

const buffer = Buffer.alloc(64 * 1024);
/** struct linux_dirent64: ino, offset (64 bits each), length (16), type (8), name. */
const NAME_OFFSET = 19;

/** All entries except `.` and `..`, from the beginning, in the file system's order; or -errno. */
export function readDirectory(fd: number): DirectoryEntry[] | number {
  const entries: DirectoryEntry[] = [];
  const failed = rewind(fd);
  if (failed < 0) return failed;
  for (;;) {
    const filled = result(callGetdents64(fd, buffer, buffer.length));
    if (filled < 0) return filled;
    if (filled === 0) return entries;
    for (let at = 0; at < filled; at += buffer.readUInt16LE(at + 16)) {
      const name = buffer.toString('latin1', at + NAME_OFFSET, buffer.indexOf(0, at + NAME_OFFSET));
      if (name === '.' || name === '..') continue;
      const ino = buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32;
      entries.push({ name, ino, type: buffer.readUInt8(at + 18) });
    }
  }
}
