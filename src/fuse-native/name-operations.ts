/**
 * The calls that make, remove and move names.
 *
 * When an open file is removed or replaced by a rename, libfuse renames it to
 * `.fuse_hidden…` until it is closed. Here that rename is the removal; the
 * made-up name leads to the open file without being in the tree.
 */
import { S_IFDIR, S_IFMT, S_IFREG } from '../lib/file-mode.js';
import { after, Deferred } from '../lib/deferred.js';
import type { Entry } from '../tree/operations.js';
import type { Operation, Signal } from 'fuse-native';
import { NO_UMASK, type NativeContext, plain } from './context.js';
import { bytesOfText, refuseMangled, splitPath } from './names.js';

const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;

export function nameOperations(context: NativeContext): Record<string, Operation> {
  const caller = context.caller;
  const ops = context.ops;
  const change = (signal: Signal, work: () => unknown): void =>
    context.answering.change(work, plain(signal));
  return {
    mknod: (signal, path: string, mode: number, rdev: number) =>
      change(signal, () =>
        make(context, path, 'mknod', (parent, name) => {
          const whole = (mode & S_IFMT) === 0 ? mode | S_IFREG : mode;
          return ops.mknod(caller, parent, name, whole, rdev, NO_UMASK);
        }),
      ),
    mkdir: (signal, path: string, mode: number) =>
      change(signal, () =>
        make(context, path, 'mkdir', (parent, name) =>
          ops.mkdir(caller, parent, name, mode, NO_UMASK),
        ),
      ),
    symlink: (signal, target: string, path: string) =>
      change(signal, () => {
        refuseMangled(target, 'symlink');
        return make(context, path, 'symlink', (parent, name) =>
          ops.symlink(caller, parent, name, bytesOfText(target)),
        );
      }),
    link: (signal, from: string, path: string) =>
      change(signal, () => {
        const node = context.paths.node(from);
        return make(context, path, 'link', (parent, name) => ops.link(caller, node, parent, name));
      }),
    unlink: (signal, path: string) =>
      change(signal, () => {
        // The open file's name was removed when libfuse hid it.
        if (context.paths.hiddenNode(path) !== undefined) return;
        unlink(context, path);
      }),
    rmdir: (signal, path: string) =>
      change(signal, () => {
        const { node, name } = context.paths.parent(path);
        const removed = ops.rmdir(caller, node, name);
        const gone = (): void => context.paths.dropTree(path);
        return removed instanceof Deferred ? after(removed, gone) : gone();
      }),
    rename: (signal, from: string, to: string) => change(signal, () => rename(context, from, to)),
  };
}

function unlink(context: NativeContext, path: string): void {
  const { node, name } = context.paths.parent(path);
  context.ops.unlink(context.caller, node, name);
  context.paths.drop(path);
}

function make(
  context: NativeContext,
  path: string,
  syscall: string,
  make: (parent: number, name: string) => Entry | Deferred<Entry>,
): undefined | Deferred<void> {
  refuseMangled(splitPath(path).name, syscall);
  const { node, name } = context.paths.parent(path);
  const made = make(node, name);
  if (made instanceof Deferred) return after(made, (entry) => context.paths.keep(path, entry));
  context.paths.keep(path, made);
  return undefined;
}

function rename(context: NativeContext, from: string, to: string): void | Deferred<void> {
  const { name: newText } = splitPath(to);
  const node = context.paths.node(from);
  if (HIDDEN_NAME.test(newText) && context.files.isOpen(node)) {
    unlink(context, from);
    context.paths.hide(to, node);
    return;
  }
  refuseMangled(newText, 'rename');
  const attr = context.ops.getattr(context.caller, node);
  const old = context.paths.parent(from);
  const next = context.paths.parent(to);
  const moved = context.ops.rename(context.caller, old.node, old.name, next.node, next.name, 0);
  const renamed = (): void => {
    if ((attr.mode & S_IFMT) === S_IFDIR) {
      context.paths.dropTree(from);
      context.paths.dropTree(to);
    } else {
      context.paths.drop(from);
      context.paths.drop(to);
    }
  };
  return moved instanceof Deferred ? after(moved, renamed) : renamed();
}
