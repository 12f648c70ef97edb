/** The calls about extended attributes (xattrs). */
import { ERRNO } from '../lib/errors.js';
import type { Operation, Signal } from 'fuse-native';
import type { Answer } from './answering.js';
import { type NativeContext, plain } from './context.js';
import { bytesOfText, refuseMangled } from './names.js';

export function attributeOperations(context: NativeContext): Record<string, Operation> {
  const caller = context.caller;
  const ops = context.ops;
  /** The buffer is returned with the answer; a call without one asks for the size. */
  const filled = (signal: Signal, buffer: Buffer): Answer<Uint8Array> => ({
    done: (value) => {
      const fits = buffer.length === 0 || value.length <= buffer.length;
      if (fits && buffer.length > 0) buffer.set(value);
      signal(fits ? value.length : -ERRNO.ERANGE, buffer.buffer);
    },
    failed: (errno) => signal(-errno, buffer.buffer),
  });
  return {
    setxattr: (
      signal,
      path: string,
      name: string,
      value: Buffer,
      _position: number,
      flags: number,
    ) =>
      context.answering.change<void>(
        () => {
          refuseMangled(name, 'setxattr');
          const copy = Buffer.from(value);
          context.at(path, (node) => ops.setxattr(caller, node, bytesOfText(name), copy, flags));
        },
        {
          done: () => signal(0, value.buffer),
          failed: (errno) => signal(-errno, value.buffer),
        },
      ),
    getxattr: (signal, path: string, name: string, buffer: Buffer) =>
      context.answering.run(
        () => context.at(path, (node) => ops.getxattr(caller, node, bytesOfText(name))),
        filled(signal, buffer),
      ),
    listxattr: (signal, path: string, buffer: Buffer) =>
      context.answering.run<Uint8Array>(
        () => {
          const names = context.at(path, (node) => ops.listxattr(caller, node));
          const text = names.map((name) => `${name}\0`).join('');
          return Buffer.from(text, 'latin1');
        },
        filled(signal, buffer),
      ),
    removexattr: (signal, path: string, name: string) =>
      context.answering.change<void>(
        () => context.at(path, (node) => ops.removexattr(caller, node, bytesOfText(name))),
        plain(signal),
      ),
  };
}
