/**
 * The files of a volume: creates them, and opens them only when they are whole.
 *
 * What must hold: LMDB maps a file only after its meta pages were checked
 * against its length, so that a truncated or foreign file gives a clear error
 * and never a SIGBUS.
 *
 * Doors: every file.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { flushDirectory } from '../lib/durable-file.js';
import { CommandError, messageOf } from '../lib/errors.js';
import { makeDirectory } from '../lib/make-directory.js';
import { M_MMAP_THRESHOLD, M_TOP_PAD, M_TRIM_THRESHOLD } from '../libc/constants.js';
import { disableHugePages, mallopt } from '../libc/libc.js';
import { Env, type EnvOptions } from './env.js';
import { writeInPlace } from './in-place.js';
import { checkFileLength, checkTreeRoot, DamagedFile, readMeta } from './mdb/file.js';

export const DATA_FILE = 'data.mdb';
export const OWNER_FILE = 'owner';
/** Where a new volume is built, inside the directory it is for. */
const NURSERY = '.shadowfs-new';
const HEAP_TOP_PAD_BYTES = 64 * 1024 * 1024;
/** More than the pages of a txg, which each commit allocates and frees. */
const HEAP_TRIM_BYTES = 64 * 1024 * 1024;
/** Blocks as large as a slab go back to the kernel when they are freed. */
const HEAP_MMAP_BYTES = 512 * 1024;

function notAVolume(path: string, why: string): CommandError {
  return new CommandError('not-a-volume', 'EINVAL', `${path} is not a volume: ${why}`, { path });
}

function damaged(path: string, why: string): CommandError {
  const file = join(path, DATA_FILE);
  return new CommandError(
    'volume-damaged',
    'EIO',
    `the volume ${path} is damaged: ${file}: ${why}`,
    {
      path,
    },
  );
}

const UNWRITABLE = { EROFS: 'EROFS', EPERM: 'EACCES', EACCES: 'EACCES', ENOSPC: 'ENOSPC' } as const;

/** The error for a volume that can't be written; undefined: it is another error. */
export function unwritable(path: string, error: unknown): CommandError | undefined {
  // LMDB's errors have a number for a code.
  const { code } = error as { code?: string | number };
  const name = typeof code === 'number' && code > 0 ? getSystemErrorName(-code) : code;
  if (typeof name !== 'string' || !Object.hasOwn(UNWRITABLE, name)) return undefined;
  const isFull = name === 'ENOSPC';
  return new CommandError(
    'volume-unusable',
    UNWRITABLE[name as keyof typeof UNWRITABLE],
    isFull
      ? `the volume ${path} can't be opened: the disk is full`
      : `the volume ${path} can't be written (${name}); shadowfs mount --ro only reads it`,
    { path },
  );
}

/** Makes the directory of a new volume. Throws CommandError `volume-unusable`. */
export function makeVolumeDirectory(path: string): void {
  try {
    makeDirectory(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isKnown = code !== undefined && Object.hasOwn(UNWRITABLE, code);
    throw new CommandError(
      'volume-unusable',
      isKnown ? UNWRITABLE[code as keyof typeof UNWRITABLE] : 'EACCES',
      `the volume ${path} can't be made: ${messageOf(error)}`,
      { path },
    );
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** True when a file claims to be a volume. */
export function isVolume(path: string): boolean {
  return existsSync(join(path, DATA_FILE));
}

/**
 * Makes a volume in `path`, a new or empty directory. The tables have no
 * records; `fill` may add some in the directory it gets. A rename puts the
 * volume in place as a whole, so that a crash leaves all of it or nothing.
 * Throws CommandError `volume-exists` or `not-a-volume`.
 */
export function createVolumeFiles(
  path: string,
  options: EnvOptions = {},
  fill: (path: string) => void = () => {},
): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw notAVolume(path, `it can't be made (${codeOf(error)})`);
  }
  const names = readdirSync(path).filter((name) => name !== OWNER_FILE && name !== NURSERY);
  if (names.includes(DATA_FILE)) {
    throw new CommandError('volume-exists', 'EEXIST', `there is a volume in ${path} already`, {
      path,
    });
  }
  if (names.length > 0) throw notAVolume(path, 'the directory is not empty');
  const nursery = join(path, NURSERY);
  rmSync(nursery, { recursive: true, force: true });
  mkdirSync(nursery, { mode: 0o700 });
  makeDataFile(join(nursery, DATA_FILE));
  Env.open(nursery, { ...options, create: true }).close();
  fill(nursery);
  renameSync(join(nursery, DATA_FILE), join(path, DATA_FILE));
  rmSync(nursery, { recursive: true });
  flushDirectory(path);
  flushDirectory(dirname(path));
}

/** An empty file, which LMDB takes for one that it has just made itself. */
function makeDataFile(path: string): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    writeInPlace(fd);
  } finally {
    closeSync(fd);
  }
}

/** Throws CommandError `not-a-volume` or `volume-damaged`. Reads a few pages. */
export function checkVolumeFiles(path: string): void {
  let fd: number;
  try {
    if (!statSync(path).isDirectory()) throw notAVolume(path, 'it is not a directory');
    fd = openSync(join(path, DATA_FILE), 'r');
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const code = codeOf(error);
    if (code === 'EACCES') {
      throw new CommandError(
        'volume-unusable',
        'EACCES',
        `this user may not look at ${path}: nothing is known of a volume there`,
        { path },
      );
    }
    const why = code === 'ENOENT' ? `${DATA_FILE} is missing` : String(code);
    throw notAVolume(path, why);
  }
  try {
    const { size } = fstatSync(fd);
    if (size === 0) throw damaged(path, 'it is empty');
    const meta = readMeta(fd);
    if (meta === undefined) throw damaged(path, "it is not a volume's data");
    checkFileLength(fd, meta, size);
    checkTreeRoot(fd, meta, meta.freeRoot);
    checkTreeRoot(fd, meta, meta.mainRoot);
  } catch (error) {
    if (error instanceof DamagedFile) throw damaged(path, error.message);
    if (error instanceof RangeError) throw damaged(path, 'its list of free pages is damaged');
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Opens a volume's environment. Throws CommandError `not-a-volume` or `volume-damaged`. */
export function openEnv(path: string, options: EnvOptions = {}): Env {
  checkVolumeFiles(path);
  try {
    return Env.open(path, options);
  } catch (error) {
    const { message } = error as Error;
    if (/table \w+ is missing/.test(message)) throw notAVolume(path, message);
    throw unwritable(path, error) ?? damaged(path, message);
  }
}

/**
 * For the process that writes. LMDB allocates and frees all pages of a
 * transaction at once. By default glibc returns that memory each time, and the
 * kernel clears it again, at worst by huge pages: 10–40 % of a sequential
 * write.
 */
export function tuneMemoryForWriting(): void {
  disableHugePages();
  mallopt(M_TOP_PAD, HEAP_TOP_PAD_BYTES);
  mallopt(M_TRIM_THRESHOLD, HEAP_TRIM_BYTES);
  mallopt(M_MMAP_THRESHOLD, HEAP_MMAP_BYTES);
}
