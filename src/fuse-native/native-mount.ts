/**
 * A mount through the package `fuse-native`. libfuse reads the requests in its
 * own threads; these hand each call to the event loop of the main thread and
 * wait for the answer. In any other thread than the main one the package
 * crashes.
 *
 * The kernel caches only the pages of open files, because the package can't
 * invalidate anything: the kernel asks for names and attributes each time.
 *
 * Doors: native-mount.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { CommandError } from '../lib/errors.js';
import { POLLERR } from '../libc/constants.js';
import { close, dup } from '../libc/libc.js';
import { PollSet } from '../libc/poll.js';
import type { Operations } from '../tree/operations.js';
import type Fuse from 'fuse-native';
import type { Operation } from 'fuse-native';
import { attributeOperations } from './attribute-operations.js';
import { NativeContext } from './context.js';
import { fileOperations } from './file-operations.js';
import { lookingOperations } from './looking-operations.js';
import { nameOperations } from './name-operations.js';

/** Interval of the check whether the mount still exists. */
const LOOK_MS = 20;
const UTIMENS_OPCODE = 12;
/** The package has this much room for libfuse's options and for the path of the mountpoint. */
const TEXT_BYTES_MAX = 1023;
/** Where a request's memory holds the opcode and the two times (64-bit Linux, 2.2.6). */
const OPCODE_AT = 8;
const ATIME_AT = 104;
const MTIME_AT = 112;

export interface NativeMountOptions {
  source: string;
  subtype: string;
  readOnly?: boolean;
  /** No page cache: each read and write is its own call, with its own error. */
  directIo?: boolean;
  noexec?: boolean;
  /** Set-user-id bits and device files work; for root only. */
  suid?: boolean;
  dev?: boolean;
  uid: number;
  gid: number;
  log: (message: string) => void;
}

/** Throws CommandError `fuse-native-missing`. */
async function loadPackage(): Promise<typeof Fuse> {
  try {
    return (await import('fuse-native')).default;
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new CommandError(
      'fuse-native-missing',
      'ENOENT',
      `the fuse-native driver can't be loaded (it needs libfuse 2: on Debian the package libfuse2): ${why}`,
    );
  }
}

/** The option text for libfuse; a comma or backslash in a value is escaped. Pure. */
export function libfuseOptions(options: NativeMountOptions): string {
  const escaped = options.source.replace(/[\\,]/g, '\\$&');
  const words = [
    // Without this, a write has at most 4 KiB.
    'big_writes',
    // A mount in place covers a directory that is not empty.
    'nonempty',
    'use_ino',
    'default_permissions',
    // As with the kernel driver: reads change no access times.
    'noatime',
    'entry_timeout=0',
    'negative_timeout=0',
    'attr_timeout=0',
    `subtype=${options.subtype}`,
    options.readOnly === true ? 'ro' : 'rw',
    ...(options.directIo === true ? ['direct_io'] : []),
    ...(options.noexec === true ? ['noexec'] : []),
    ...(options.suid === true ? ['suid'] : []),
    ...(options.dev === true ? ['dev'] : []),
  ];
  const text = `-o${words.join(',')},fsname=`;
  const fits = Buffer.byteLength(text + escaped) <= TEXT_BYTES_MAX;
  return text + (fits ? escaped : 'shadowfs');
}

function fuseDescriptors(): number[] {
  return readdirSync('/proc/self/fd')
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === '/dev/fuse';
      } catch {
        return false;
      }
    })
    .map(Number);
}

/**
 * The package also passes the access time as modification time. The right one
 * is beside it in the request's memory; when that memory does not look as
 * expected, the wrong one is used.
 */
function withBothTimes(fuse: Fuse): void {
  const inner = fuse._handlers[UTIMENS_OPCODE];
  fuse._handlers[UTIMENS_OPCODE] = (request, opcode, ...args) => {
    const [path, low, high] = args as [string, number, number];
    const sentMs = low + high * 2 ** 32;
    const isKnown =
      request.length >= MTIME_AT + 8 &&
      request.readUInt32LE(OPCODE_AT) === UTIMENS_OPCODE &&
      Number(request.readBigUInt64LE(ATIME_AT)) === sentMs;
    // A negative number means a time before 1970.
    const atimeMs = sentMs < 2 ** 63 ? sentMs : 0;
    const mtimeMs = isKnown ? Number(request.readBigInt64LE(MTIME_AT)) : atimeMs;
    inner?.(request, opcode, path, atimeMs, Math.max(0, mtimeMs));
  };
}

export class NativeMount {
  readonly operations: NativeContext;
  readonly #descriptor: number;
  readonly #timer: NodeJS.Timeout;
  #ended = false;

  private constructor(operations: NativeContext, descriptor: number, onEnd: () => void) {
    this.operations = operations;
    this.#descriptor = descriptor;
    const pollSet = new PollSet([descriptor]);
    pollSet.set(0, descriptor, 0);
    this.#timer = setInterval(() => {
      // The kernel has dropped the mount: no program uses it any more.
      if (pollSet.wait(0) > 0 && (pollSet.ready(0) & POLLERR) !== 0) {
        this.close();
        onEnd();
      }
    }, LOOK_MS);
  }

  /**
   * Settles when the mount can be used; the caller's event loop must run.
   * `onEnd` is called when the mount is gone. Throws CommandError.
   */
  static async mount(
    mountpoint: string,
    ops: Operations,
    options: NativeMountOptions,
    onEnd: () => void,
  ): Promise<NativeMount> {
    if (Buffer.byteLength(mountpoint) > TEXT_BYTES_MAX) {
      throw new CommandError(
        'bad-option',
        'EINVAL',
        `the path ${mountpoint} is too long for the fuse-native driver`,
      );
    }
    const Package = await loadPackage();
    const caller = { uid: options.uid, gid: options.gid, pid: 0 };
    const operations = new NativeContext(ops, caller, options.log);
    const table = {
      ...lookingOperations(operations),
      ...nameOperations(operations),
      ...fileOperations(operations),
      ...attributeOperations(operations),
    };
    // Without a flush operation the kernel gets ENOSYS once and never asks again: each close costs
    // one call less.
    if (ops.neverOpens === true) delete table['flush'];
    // The package's timeout would drop late answers, and commands may take long.
    const fuse = new Package(mountpoint, table, { timeout: false });
    for (const [name, operation] of Object.entries(table)) {
      fuse[`_op_${name}`] = operations.measured.wrap(name, operation satisfies Operation);
    }
    fuse._fuseOptions = () => libfuseOptions(options);
    withBothTimes(fuse);
    const before = new Set(fuseDescriptors());
    await new Promise<void>((resolve, reject) =>
      fuse.mount((error) =>
        error === null || error === undefined ? resolve() : reject(refusal(mountpoint, error)),
      ),
    );
    const [own] = fuseDescriptors().filter((fd) => !before.has(fd));
    if (own === undefined) throw refusal(mountpoint, new Error('its descriptor was not found'));
    return new NativeMount(operations, dup(own), onEnd);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** True when the kernel has unread requests. */
  get hasUnread(): boolean {
    const pollSet = new PollSet([this.#descriptor]);
    return !this.#ended && pollSet.wait(0) > 0;
  }

  /** Closes the descriptor; does not unmount. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#timer);
    close(this.#descriptor);
    this.operations.close();
  }
}

function refusal(mountpoint: string, error: Error): CommandError {
  if (error.message === 'Mountpoint in use') {
    return new CommandError(
      'mountpoint-in-use',
      'EBUSY',
      `${mountpoint} is the root of another file system, which fuse-native does not cover`,
    );
  }
  return new CommandError(
    'mount-failed',
    'EIO',
    `${mountpoint} can't be mounted by fuse-native: ${error.message} (libfuse says more in the log)`,
  );
}
