/** The files of a volume as files: which they are, copying them, removing them. */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { attempt } from '../../lib/attempt.js';
import { flushDirectory, temporaryPath } from '../../lib/durable-file.js';
import { CommandError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { writeInPlace } from '../../store/in-place.js';
import { LOG_FILE } from '../../store/log-file.js';
import { DATA_FILE, OWNER_FILE } from '../../store/open.js';
import { IDENTITY_FILE } from '../../sync/transport/identity.js';
import { JOURNAL_FILE } from '../../volume/apply/journal.js';

/** The data comes first: without it, there is no volume any more. */
const OWN_FILES = [
  ...[DATA_FILE, LOG_FILE, IDENTITY_FILE, temporaryPath(IDENTITY_FILE)],
  ...[JOURNAL_FILE, temporaryPath(JOURNAL_FILE), 'lock.mdb', OWNER_FILE],
];
const CHUNK_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

export type OnProgress = (done: number, total: number) => void;

/**
 * Removes the volume's files, and its directory unless something else is in it. Returns what is
 * left there. A removal that was cut short goes on from where it stopped.
 */
export async function removeVolumeFiles(volume: string): Promise<string[]> {
  for (const name of OWN_FILES) {
    await rm(join(volume, name), { force: true });
    failpoint('volume:removed-file');
  }
  const left = await readdir(volume);
  // A mountpoint stays.
  if (left.length === 0) await rmdir(volume).catch(() => undefined);
  // A directory that this user may not read can't be flushed.
  attempt(() => flushDirectory(dirname(volume)));
  return left;
}

/** Bytes that a copy needs, holes not counted. Throws CommandError when it is not only files. */
export async function copySize(volume: string): Promise<number> {
  let total = 0;
  for (const name of await readdir(volume)) {
    const stat = await lstat(join(volume, name));
    if (!stat.isFile()) {
      throw new CommandError(
        'volume-unusable',
        'EINVAL',
        `${volume} has something that is not a file, ${name}: take it out of there first`,
      );
    }
    total += Math.min(stat.size, stat.blocks * 512);
  }
  return total;
}

/** Copies all files of `from` into the new directory `to`; durable when it returns. */
export async function copyVolumeFiles(
  from: string,
  to: string,
  total: number,
  onProgress: OnProgress,
): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  let before = 0;
  for (const name of await readdir(from)) {
    before += await copyFile(join(from, name), join(to, name), (done) =>
      onProgress(before + done, total),
    );
    failpoint('volume:copied-file');
  }
  await giveAs(from, to);
  flushDirectory(to);
}

async function giveAs(from: string, to: string): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = await lstat(from);
  const directory = await open(to, constants.O_RDONLY);
  try {
    await directory.chown(uid, gid);
  } finally {
    await directory.close();
  }
}

/** Returns the bytes written; what is all zeros stays a hole. */
async function copyFile(
  from: string,
  to: string,
  onProgress: (done: number) => void,
): Promise<number> {
  const source = await open(from, constants.O_RDONLY);
  try {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const target = await open(to, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    try {
      return await copyInto(target, source, basename(from) === DATA_FILE, onProgress);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function copyInto(
  target: FileHandle,
  source: FileHandle,
  isInPlace: boolean,
  onProgress: (done: number) => void,
): Promise<number> {
  if (isInPlace) writeInPlace(target.fd);
  const { size, mode, uid, gid, atime, mtime } = await source.stat();
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let written = 0;
  for (let position = 0; position < size; ) {
    const { bytesRead } = await source.read(chunk, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) break;
    const bytes = chunk.subarray(0, bytesRead);
    if (!bytes.equals(ZEROS.subarray(0, bytesRead))) {
      await writeAll(target, bytes, position);
      written += bytesRead;
      onProgress(written);
    }
    position += bytesRead;
  }
  await target.truncate(size);
  await target.chmod(mode & 0o7777);
  if (process.geteuid?.() === 0) await target.chown(uid, gid);
  await target.utimes(atime, mtime);
  await target.sync();
  return written;
}

async function writeAll(target: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await target.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
