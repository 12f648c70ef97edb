/**
 * Frames over one TLS socket whose handshake is done.
 *
 * Memory of a connection: the incoming frame (1.1 MiB at most; 64 KiB from a
 * stranger), the frames that wait to be sent (BACKLOG_MAX_BYTES and one frame),
 * and what Node and the kernel keep for a socket. What must hold: `onEnd` is
 * called exactly once, and no other handler after it.
 */
import type { TLSSocket } from 'node:tls';
import {
  encodeFrame,
  encodeFrameHead,
  type Frame,
  FrameDecoder,
  FrameError,
  MAX_BODY_LENGTH,
  MAX_PAYLOAD_LENGTH,
  NO_PAYLOAD,
} from '../../format/wire/frame.js';
import { messageOf } from '../../lib/errors.js';
import { shorten } from '../../format/text/grammar.js';
import type { Timers } from '../fabric.js';
import type { Connection, EndReason } from '../peers/link.js';
import { fingerprintOf } from './certificate.js';
import type { OneBuffer } from './one-buffer.js';
import { payloadRooms } from './payload-rooms.js';

/** A sender that does not wait for `onDrain` and exceeds this loses the connection. */
export const BACKLOG_MAX_BYTES = 16 * 1024 * 1024;
/** A payload of at least this many bytes is passed on as it is, not copied behind its header. */
const APART_BYTES = 64 * 1024;
/** Kinds that this layer itself uses. */
const PING = 'ping';
const END = 'end';
/** How long the other side may take to receive our reason for ending. */
const FAREWELL_MS = 1_000;

export interface SocketOptions {
  timers: Timers;
  /** Kinds a stranger may send. */
  greetings: readonly string[];
  /** A peer that sends nothing for this long is dead. */
  silentMs: number;
}

export class FrameSocket implements Connection {
  readonly fingerprint: string;
  readonly address: string;
  onFrame: ((frame: Frame) => void) | undefined;
  onDrain: (() => void) | undefined;
  onEnd: ((reason: EndReason) => void) | undefined;
  readonly #socket: TLSSocket;
  readonly #options: SocketOptions;
  readonly #decoder: FrameDecoder;
  #lastHeardMs: number;
  #lastSentMs: number;
  #isEnded = false;
  #isPaused = false;
  #stopTimer: () => void = () => undefined;

  /** `received`: the buffer of incoming bytes, if the socket was made with one. */
  constructor(socket: TLSSocket, options: SocketOptions, received?: OneBuffer) {
    this.#socket = socket;
    this.#options = options;
    const { raw } = socket.getPeerCertificate();
    this.fingerprint = raw === undefined ? '' : fingerprintOf(raw);
    this.address = `${socket.remoteAddress ?? 'unknown'} port ${socket.remotePort ?? 0}`;
    this.#decoder = new FrameDecoder(
      {
        kinds: new Set([PING, END, ...options.greetings]),
        bodyMax: MAX_BODY_LENGTH,
        payloadMax: 0,
      },
      (length) => payloadRooms.take(length),
    );
    this.#lastHeardMs = options.timers.nowMs();
    this.#lastSentMs = this.#lastHeardMs;
    if (received === undefined) socket.on('data', (data) => this.#data(data));
    socket.on('drain', () => this.onDrain?.());
    socket.on('error', (error) => this.#ended('connection-lost', messageOf(error)));
    socket.on('close', () => this.#ended('connection-lost', this.#lostText()));
    this.#watch();
    received?.to((data) => this.#data(data));
  }

  get lastHeardMs(): number {
    return this.#lastHeardMs;
  }

  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  #lostText(): string {
    return this.#decoder.isInside
      ? `the connection to ${this.address} ended in the middle of a frame`
      : `the connection to ${this.address} ended`;
  }

  trust(kinds: ReadonlySet<string>): void {
    this.#decoder.limits = {
      kinds: new Set([PING, END, ...kinds]),
      bodyMax: MAX_BODY_LENGTH,
      payloadMax: MAX_PAYLOAD_LENGTH,
    };
  }

  send(frame: Frame): void {
    if (this.#isEnded) return;
    this.#lastSentMs = this.#options.timers.nowMs();
    if (frame.payload.length < APART_BYTES) {
      this.#socket.write(encodeFrame(frame));
    } else {
      this.#socket.write(encodeFrameHead(frame));
      this.#socket.write(frame.payload);
    }
    if (this.backlogBytes > BACKLOG_MAX_BYTES) {
      this.#socket.destroy();
      this.#ended('peer-too-slow', `${this.address} does not take what is sent to it`);
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#lastHeardMs = this.#options.timers.nowMs();
    this.#socket.resume();
  }

  end(code: string, message: string): void {
    if (this.#isEnded) return;
    this.send({ kind: END, body: { code, message }, payload: NO_PAYLOAD });
    this.#ended(code, message);
  }

  #data(data: Uint8Array): void {
    if (this.#isEnded) return;
    this.#lastHeardMs = this.#options.timers.nowMs();
    try {
      for (const frame of this.#decoder.push(data)) {
        this.#frame(frame);
        if (this.#isEnded) return;
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.end('bad-frame', `${this.address} sent something wrong: ${error.message}`);
    }
  }

  #frame(frame: Frame): void {
    if (frame.kind === PING) return;
    if (frame.kind !== END) {
      this.onFrame?.(frame);
      return;
    }
    const { code, message } = frame.body;
    const isCode = typeof code === 'string' && /^[a-z][a-z-]{0,40}$/.test(code);
    this.#ended(
      isCode ? code : 'connection-lost',
      typeof message === 'string' ? shorten(message, 500) : this.#lostText(),
      true,
    );
  }

  /** Pings while there is nothing else to send; ends the connection of a silent peer. */
  #watch(): void {
    const { timers, silentMs } = this.#options;
    const everyMs = Math.max(1, Math.floor(silentMs / 3));
    this.#stopTimer = timers.after(everyMs, () => {
      const nowMs = timers.nowMs();
      if (!this.#isPaused && nowMs - this.#lastHeardMs >= silentMs) {
        this.end('peer-silent', `nothing was heard of ${this.address} for ${silentMs} ms`);
        return;
      }
      if (nowMs - this.#lastSentMs >= everyMs) {
        this.send({ kind: PING, body: {}, payload: NO_PAYLOAD });
      }
      if (!this.#isEnded) this.#watch();
    });
  }

  #ended(code: string, message: string, fromPeer = false): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stopTimer();
    const socket = this.#socket;
    // Later bytes are ignored, but must be read so that the other side sees the end.
    socket.resume();
    socket.end();
    const { timers } = this.#options;
    const stop = timers.after(FAREWELL_MS, () => socket.destroy());
    socket.once('close', stop);
    this.onEnd?.({ code, message, fromPeer });
    this.onFrame = undefined;
    this.onDrain = undefined;
    this.onEnd = undefined;
  }
}
