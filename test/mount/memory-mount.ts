/**
 * Starts and ends a `memory-server.ts` for a test, and runs the child
 * processes that touch its mount. Every mount is taken away in the teardown.
 */
import { type ChildProcess, execFile, fork, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { ServerCommand } from './memory-loop.js';
import { isRoot } from '../as-root.js';
import type { ServerOptions } from './memory-server.js';

export interface ShellResult {
  status: number | null;
  out: string;
  err: string;
}

/** An ordinary user: nobody. */
/** An ordinary user: whoever runs the tests, if that is one. */
export const USER_ID = isRoot ? 65534 : (process.getuid?.() ?? -1);
/** Any process that is started as a user: only root can be somebody else. */
const identity = (uid: number): { uid?: number; gid?: number } => (isRoot ? { uid, gid: uid } : {});

export class MemoryMount {
  readonly dir: string;
  readonly #child: ChildProcess;
  #nextId = 1;
  readonly #open = new Map<number, (result: unknown) => void>();
  readonly ended: Promise<number | null>;
  errors = '';

  constructor(dir: string, child: ChildProcess) {
    this.dir = dir;
    this.#child = child;
    child.stderr?.on('data', (data: Buffer) => {
      this.errors += data.toString();
    });
    child.on('message', ({ id, result }: { id: number; result: unknown }) => {
      this.#open.get(id)?.(result);
      this.#open.delete(id);
    });
    this.ended = new Promise((resolve) => {
      child.on('exit', (code) => resolve(code));
    });
  }

  ask<T>(command: ServerCommand['command'], rest: Partial<ServerCommand> = {}): Promise<T> {
    const id = this.#nextId++;
    this.#child.send({ id, command, ...rest });
    return new Promise((resolve) => {
      this.#open.set(id, (result) => resolve(result as T));
    });
  }

  behave(behaviour: NonNullable<ServerCommand['behaviour']>): Promise<unknown> {
    return this.ask('behave', { behaviour });
  }

  /** Runs a shell script in the mountpoint, as the given user. */
  sh(script: string, uid = 0): Promise<ShellResult> {
    const words = ['-c', `cd "$0" || exit\n${script}`, this.dir];
    return new Promise((resolve) => {
      const child = execFile(
        '/bin/bash',
        words,
        { ...identity(uid), timeout: 30_000, maxBuffer: 1 << 26 },
        (error, out, err) => {
          resolve({ status: child.exitCode ?? (error === null ? 0 : 1), out, err });
        },
      );
    });
  }

  unmount(): void {
    spawnSync('umount', [this.dir]);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/**
 * With the test runner's TypeScript loader, but without its hook that records
 * processes in a directory that only its own user can write. The runner puts
 * that into NODE_OPTIONS of whatever is started, hence `env`.
 */
export function forkServer(file: string, args: string[], uid = 0): ChildProcess {
  const loader = process.execArgv.filter((word) => word.includes('typescript'));
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    execPath: '/usr/bin/env',
    execArgv: ['-u', 'NODE_OPTIONS', process.execPath, ...loader],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    ...identity(uid),
  });
}

/** Mounts and waits until it is served. Rejects with the server's refusal. */
export async function mountMemory(
  t: Test,
  options: ServerOptions = {},
  uid = 0,
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fuse-')),
): Promise<MemoryMount> {
  if (!fs.existsSync('/dev/fuse')) throw new Error('/dev/fuse is missing: FUSE can not be tested');
  if (uid !== 0) {
    if (isRoot && fs.existsSync(dir)) fs.chownSync(dir, uid, uid);
    // What udev does wherever it runs; fusermount3 opens the device as its caller.
    if (isRoot) fs.chmodSync('/dev/fuse', 0o666);
  }
  const child = forkServer('./memory-server.ts', [dir, JSON.stringify(options)], uid);
  const mount = new MemoryMount(dir, child);
  t.teardown(async () => {
    spawnSync('umount', ['-l', dir], { stdio: 'ignore' });
    const killer = setTimeout(() => mount.kill(), 5000);
    await mount.ended;
    clearTimeout(killer);
    if (fs.statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true) fs.rmdirSync(dir);
  });
  await new Promise<void>((resolve, reject) => {
    child.once('message', (message: { failure?: { message: string; code: string } }) => {
      if (message.failure === undefined) resolve();
      else reject(Object.assign(new Error(message.failure.message), message.failure));
    });
    child.once('exit', (code) => reject(new Error(`server ended (${code}): ${mount.errors}`)));
  });
  return mount;
}
