/**
 * A reply that names nodes counts as lookups of them. When the kernel did not
 * take the reply (the process was killed, the mount is gone), it never forgets
 * those nodes, so we forget them at once.
 */
import type { Operations } from '../../tree/operations.js';
import { DIRENT_BYTES, ENTRY_OUT_BYTES, Opcode } from '../protocol/protocol.js';
import type { Reply } from '../protocol/reply.js';

const ENTRY_OPCODES: ReadonlySet<number> = new Set<number>([
  Opcode.LOOKUP,
  Opcode.SYMLINK,
  Opcode.MKNOD,
  Opcode.MKDIR,
  Opcode.LINK,
  Opcode.CREATE,
  Opcode.TMPFILE,
]);

/** `reply` holds the successful reply to a request of `opcode`, with a body of `bodyBytes`. */
export function undoLookups(
  ops: Operations,
  opcode: number,
  reply: Reply,
  bodyBytes: number,
): void {
  if (ENTRY_OPCODES.has(opcode)) {
    undoEntry(ops, reply, 0);
  } else if (opcode === Opcode.READDIRPLUS) {
    let at = 0;
    while (at < bodyBytes) {
      undoEntry(ops, reply, at);
      const nameBytes = reply.wordAt(at + ENTRY_OUT_BYTES + 16);
      at += ENTRY_OUT_BYTES + ((DIRENT_BYTES + nameBytes + 7) & ~7);
    }
  }
}

function undoEntry(ops: Operations, reply: Reply, at: number): void {
  const node = reply.longAt(at);
  if (node !== 0) ops.forget(node, 1);
}
