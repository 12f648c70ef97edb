/**
 * Handing descriptors between processes: `fusermount3` opens /dev/fuse for an
 * ordinary user and sends it back over the socket named by _FUSE_COMMFD; a mount
 * goes from one mount namespace to another in the same way.
 */
import { ERRNO } from '../lib/errors.js';
import { addressOf, glibc, result } from './library.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
/** CMSG_LEN(4) and CMSG_SPACE(4): a header of 16 bytes and one descriptor, aligned to 8. */
const CONTROL_LENGTH = 20;
const CONTROL_SPACE = 24;

const callSocketpair: (domain: number, type: number, protocol: number, out: Int32Array) => number =
  glibc.func('int socketpair(int, int, int, void *)');
const callRecvmsg: (fd: number, message: Uint8Array, flags: number) => number = glibc.func(
  'int64_t recvmsg(int, void *, int)',
);

const callSendmsg: (fd: number, message: Uint8Array, flags: number) => number = glibc.func(
  'int64_t sendmsg(int, void *, int)',
);

/** Two connected sockets. Both must be closed by the caller. */
export function socketpair(): [number, number] | number {
  const pair = new Int32Array(2);
  const failed = result(callSocketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  return failed < 0 ? failed : [pair[0] as number, pair[1] as number];
}

/** struct msghdr for one byte of data and one descriptor, and the memory it points to. */
class Message {
  readonly header = new Uint8Array(56);
  readonly control = Buffer.alloc(CONTROL_SPACE);
  readonly #data = new Uint8Array(1);
  readonly #iovec = new BigUint64Array(2);

  readonly #words = new BigUint64Array(this.header.buffer);

  constructor() {
    this.#iovec[0] = addressOf(this.#data);
    this.#iovec[1] = 1n;
    this.#words[2] = addressOf(new Uint8Array(this.#iovec.buffer));
    this.#words[3] = 1n;
    this.#words[4] = addressOf(this.control);
    this.reset();
  }

  /** Call before each use: the kernel overwrites these fields when it receives. */
  reset(): void {
    this.control.fill(0);
    this.#words[5] = BigInt(CONTROL_SPACE);
  }
}

/** Lives as long as the thread, because the kernel gets addresses into it. */
const message = new Message();

/**
 * Waits for a descriptor sent over `sock`. The descriptor (close-on-exec), or
 * -errno; -ENODATA when the other side closed without sending one.
 */
export function recvFd(sock: number): number {
  let received: number;
  do {
    message.reset();
    received = result(callRecvmsg(sock, message.header, MSG_CMSG_CLOEXEC));
  } while (received === -ERRNO.EINTR);
  if (received < 0) return received;
  const { control } = message;
  const isDescriptor =
    control.readUInt32LE(0) >= CONTROL_LENGTH &&
    control.readInt32LE(8) === SOL_SOCKET &&
    control.readInt32LE(12) === SCM_RIGHTS;
  return received > 0 && isDescriptor ? control.readInt32LE(16) : -ERRNO.ENODATA;
}

/** Sends a descriptor, which the caller keeps. 0, or -errno. */
export function sendFd(sock: number, fd: number): number {
  message.reset();
  const { control } = message;
  control.writeUInt32LE(CONTROL_LENGTH, 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(fd, 16);
  const sent = result(callSendmsg(sock, message.header, 0));
  return sent < 0 ? sent : 0;
}
