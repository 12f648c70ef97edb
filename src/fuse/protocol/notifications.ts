/**
 * The kernel's form of notifications: out-headers with unique 0 and the code in
 * the error field. Pure. A batch becomes one block of bytes, each message
 * aligned to 8, so that it goes to the helper thread without a copy.
 */
import type { Notification } from '../../tree/coherence/notification.js';
import { EXPIRE_ONLY, NotifyCode, OUT_HEADER_BYTES, TWO_32 } from './protocol.js';

function messageBytes(notification: Notification): number {
  switch (notification.kind) {
    case 'inval-inode':
      return OUT_HEADER_BYTES + 24;
    case 'inval-entry':
      return OUT_HEADER_BYTES + 16 + notification.name.length + 1;
    case 'delete':
      return OUT_HEADER_BYTES + 24 + notification.name.length + 1;
    case 'inc-epoch':
      return OUT_HEADER_BYTES;
    case 'prune':
      return OUT_HEADER_BYTES + 16 + 8 * notification.nodes.length;
  }
}

/** Where the message after `bytes` bytes starts. */
export function alignMessage(bytes: number): number {
  return (bytes + 7) & ~7;
}

/** The batch, message behind message, in memory of its own. */
export function encodeNotifications(batch: readonly Notification[]): Uint8Array {
  let total = 0;
  for (const notification of batch) total += alignMessage(messageBytes(notification));
  const block = Buffer.from(new ArrayBuffer(total));
  const words = new Uint32Array(block.buffer);
  const long = (byte: number, value: number): void => {
    words[byte >> 2] = value;
    words[(byte >> 2) + 1] = Math.floor(value / TWO_32);
  };
  let at = 0;
  for (const notification of batch) {
    const bytes = messageBytes(notification);
    const body = at + OUT_HEADER_BYTES;
    words[at >> 2] = bytes;
    let code: number;
    switch (notification.kind) {
      case 'inval-inode':
        code = NotifyCode.INVAL_INODE;
        long(body, notification.node);
        long(body + 8, notification.offset);
        long(body + 16, notification.length);
        break;
      case 'inval-entry':
        code = NotifyCode.INVAL_ENTRY;
        long(body, notification.parent);
        words[(body + 8) >> 2] = notification.name.length;
        words[(body + 12) >> 2] = notification.expireOnly ? EXPIRE_ONLY : 0;
        block.write(notification.name, body + 16, 'latin1');
        break;
      case 'delete':
        code = NotifyCode.DELETE;
        long(body, notification.parent);
        long(body + 8, notification.child);
        words[(body + 16) >> 2] = notification.name.length;
        block.write(notification.name, body + 24, 'latin1');
        break;
      case 'inc-epoch':
        code = NotifyCode.INC_EPOCH;
        break;
      case 'prune':
        code = NotifyCode.PRUNE;
        words[body >> 2] = notification.nodes.length;
        for (const [i, node] of notification.nodes.entries()) long(body + 16 + 8 * i, node);
        break;
    }
    words[(at >> 2) + 1] = code;
    at += alignMessage(bytes);
  }
  return block;
}
