/** The read-only calls: attributes, listings, link targets, space. */
import type { Attributes } from '../tree/operations.js';
import type { Operation, Signal } from 'fuse-native';
import type { Answer } from './answering.js';
import type { NativeContext } from './context.js';
import { textOfBytes } from './names.js';
import { listedArray, statFsArray } from './stat-array.js';

/** Listings with more names than this give only the names. */
const LISTED_WITH_TYPES = 50_000;

export function lookingOperations(context: NativeContext): Record<string, Operation> {
  const caller = context.caller;
  const ops = context.ops;
  const stat = (signal: Signal): Answer<Attributes> => ({
    done: (attr) => signal(0, context.stat(attr)),
    failed: (errno) => signal(-errno),
  });
  return {
    getattr: (signal, path: string) =>
      context.answering.run(
        () => context.at(path, (node, attr) => attr ?? ops.getattr(caller, node)),
        stat(signal),
      ),
    fgetattr: (signal, path: string, handle: number) =>
      context.answering.run(() => ops.getattr(caller, context.node(path, handle)), stat(signal)),
    readdir: (signal, path: string) =>
      context.answering.run(() => list(context, path), {
        done: ({ names, stats }) => signal(0, names, stats),
        failed: (errno) => signal(-errno),
      }),
    readlink: (signal, path: string) =>
      context.answering.run(() => context.at(path, (node) => ops.readlink(caller, node)), {
        done: (target) => signal(0, textOfBytes(target)),
        failed: (errno) => signal(-errno),
      }),
    statfs: (signal) =>
      context.answering.run(() => ops.statfs(caller, 1), {
        done: (space) => signal(0, statFsArray(space)),
        failed: (errno) => signal(-errno),
      }),
  };
}

function list(context: NativeContext, path: string): { names: string[]; stats: Uint32Array[] } {
  const names: string[] = [];
  const listed: { type: number; ino: number }[] = [];
  context.at(path, (node) =>
    context.ops.readdir(context.caller, node, 0, 0, (name, high, low, type) => {
      names.push(textOfBytes(name));
      if (names.length <= LISTED_WITH_TYPES) {
        listed.push({ type, ino: context.numbers.of(high, low) });
      }
      return true;
    }),
  );
  const withTypes = names.length <= LISTED_WITH_TYPES;
  const stats = withTypes ? listed.map(({ type, ino }) => listedArray(type, ino)) : [];
  return { names, stats };
}
