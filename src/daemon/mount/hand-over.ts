/**
 * Brings mounts of this process into another mount namespace, for a `run` within a run: that one
 * gets no copy of what is mounted here after it was made. The kernel makes a copy of a mount as a
 * descriptor, which is attached at the same path there.
 *
 * Both calls need the rights of root over a mount namespace. A process of an ordinary user has them
 * in a user namespace of its own, and in those that this user's processes have made: so `unshare`
 * makes one in which the mounts are copied, and `nsenter` goes into the other one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { bytesOfText } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { recvFd, socketpair } from '../../libc/fd-passing.js';
import { close } from '../../libc/libc.js';
import { fsError } from '../../libc/library.js';
import { mountNamespaceOf } from './mount-table.js';

/** A mount namespace, and a process in it. */
export interface Namespace {
  pid: number;
  /** As /proc/PID/ns/mnt names it. */
  name: string;
}

const COPYING = ['--mount', '--propagation', 'private'];

/** Copies of mounts that are attached nowhere. They end when they are closed. */
export class MountCopies {
  private constructor(
    readonly paths: readonly string[],
    readonly fds: readonly number[],
  ) {}

  /** Throws CommandError. */
  static async of(paths: readonly string[]): Promise<MountCopies> {
    const sockets = socketpair();
    if (typeof sockets === 'number') throw failed(fsError(sockets, 'socketpair').message);
    const [ours, theirs] = sockets;
    const fds: number[] = [];
    try {
      const user = isRoot() ? [] : ['--user', '--map-root-user'];
      const words = ['unshare', ...user, ...COPYING, '--'];
      await runHandOver(words, 'take', paths, [theirs]).finally(() => close(theirs));
      for (const path of paths) {
        const fd = recvFd(ours);
        if (fd < 0) throw failed(fsError(fd, 'recvmsg', path).message);
        fds.push(fd);
      }
      return new MountCopies(paths, fds);
    } catch (error) {
      for (const fd of fds) close(fd);
      throw error;
    } finally {
      close(ours);
    }
  }

  /** Attaches them in the namespace, at the paths that they have here. Throws CommandError. */
  async attach({ pid, name }: Namespace): Promise<void> {
    // In another process namespace the number is another process's.
    if (mountNamespaceOf(pid) !== name) {
      throw failed(`process ${pid} is not in the mount namespace ${name}, as seen from here`);
    }
    const at = `/proc/${pid}/ns`;
    const user = isRoot() ? [] : ['--preserve-credentials', `--user=${at}/user`];
    await runHandOver(['nsenter', ...user, `--mount=${at}/mnt`, '--'], 'put', this.paths, this.fds);
  }

  close(): void {
    for (const fd of this.fds) close(fd);
  }
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function failed(why: string): CommandError {
  return new CommandError(
    'other-namespace',
    'EBUSY',
    `the mount can't be brought into the other mount namespace: ${why}`,
  );
}

/** `enter`: the program that makes or enters the namespaces, and its options. */
async function runHandOver(
  enter: readonly string[],
  verb: 'take' | 'put',
  paths: readonly string[],
  fds: readonly number[],
): Promise<void> {
  const [command = '', ...options] = enter;
  const script = fileURLToPath(new URL('./hand-over-process.js', import.meta.url));
  const encoded = paths.map((path) => Buffer.from(bytesOfText(path)).toString('base64'));
  const child = spawn(command, [...options, process.execPath, script, verb, ...encoded], {
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe', ...fds],
  });
  let text = '';
  child.stderr?.on('data', (data: Buffer) => {
    text += data.toString();
  });
  let code: unknown;
  try {
    [code] = (await once(child, 'close')) as [number | null];
  } catch (error) {
    throw failed(`${command}: ${(error as Error).message}`);
  }
  if (code !== 0) throw failed(text.trim().split('\n').at(-1) || `${command} failed`);
}
