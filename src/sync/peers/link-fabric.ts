/**
 * Messages over the links to peers: carries the messages of the agent and of
 * group saves, whichever peers are connected. A message is any JSON value,
 * which may contain bytes; it travels as one or more frames, in order.
 *
 * What must hold: a message to a peer that is not connected is lost, as the
 * fabric allows. Of an incoming message at most MESSAGE_MAX_BYTES are
 * kept, and nothing once its link is gone.
 */
import { CommandError } from '../../lib/errors.js';
import { type Frame, MAX_PAYLOAD_LENGTH } from '../../format/wire/frame.js';
import { decodeUtf8 } from '../../lib/byte-text.js';
import type { Fabric } from '../fabric.js';
import type { AgentPort, Link } from './link.js';

/** Longest message, in bytes as it travels. */
export const MESSAGE_MAX_BYTES = 8 * 1024 * 1024;
/** A message of at most this many bytes is one frame. */
const SMALL_BYTES = 16 * 1024;
const KIND = 'message';
/** Marks bytes in the JSON: `{"$bytes": [offset, length]}`. */
const BYTES = '$bytes';

interface Open {
  link: Link;
  parts: Uint8Array[];
  bytes: number;
}

export class LinkFabric<Message> implements Fabric<Message>, AgentPort {
  readonly kinds = [KIND];
  /** A peer may have two links for a while; messages go over the newer one. */
  readonly #open = new Map<Link, Open>();
  #handler: ((from: string, message: Message) => void) | undefined;
  readonly #self: string;
  readonly #later: (action: () => void) => void;

  /** `self`: the UUID of this volume, which may be among a message's recipients. */
  constructor(self: string, later: (action: () => void) => void) {
    this.#self = self;
    this.#later = later;
  }

  send(to: readonly string[], message: Message): void {
    let frames: Frame[] | undefined;
    for (const peer of to) {
      if (peer === this.#self) this.#later(() => this.#handler?.(peer, message));
      const open = [...this.#open.values()].filter(({ link }) => link.peer === peer).at(-1);
      if (open === undefined) continue;
      frames ??= framesOf(message);
      for (const frame of frames) open.link.send(frame);
    }
  }

  isUp(peer: string): boolean {
    return [...this.#open.keys()].some((link) => link.peer === peer);
  }

  receive(handler: (from: string, message: Message) => void): void {
    this.#handler = handler;
  }

  linkUp(link: Link): void {
    const open: Open = { link, parts: [], bytes: 0 };
    this.#open.set(link, open);
    link.onFrame = (frame) => this.#take(open, frame);
  }

  linkDown(link: Link): void {
    this.#open.delete(link);
  }

  #take(open: Open, { body, payload }: Frame): void {
    const { link, parts } = open;
    parts.push(payload);
    open.bytes += payload.length;
    if (open.bytes > MESSAGE_MAX_BYTES || payload.length === 0) {
      link.close(`${link.name} sent a message of more than ${MESSAGE_MAX_BYTES} bytes`);
      return;
    }
    if (body['more'] === true) return;
    open.parts = [];
    open.bytes = 0;
    const message = messageIn<Message>(parts, body['json']);
    if (message === undefined) link.close(`${link.name} sent a message that is not understood`);
    else this.#handler?.(link.peer, message);
  }
}

/** Throws CommandError `message-too-long`. */
function framesOf(message: unknown): Frame[] {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const text = JSON.stringify(
    withoutBytes(message, (piece) => {
      pieces.push(piece);
      length += piece.length;
      return { [BYTES]: [length - piece.length, piece.length] };
    }),
  );
  const json = Buffer.from(text);
  if (json.length + length > MESSAGE_MAX_BYTES) {
    const bytes = json.length + length;
    throw new CommandError('message-too-long', 'E2BIG', `a message of ${bytes} bytes`);
  }
  const frames: Frame[] = [];
  const isSmall = json.length + length <= SMALL_BYTES;
  for (const bytes of isSmall ? [Buffer.concat([json, ...pieces])] : [json, ...pieces]) {
    for (let at = 0; at < bytes.length; at += MAX_PAYLOAD_LENGTH) {
      const payload = bytes.subarray(at, at + MAX_PAYLOAD_LENGTH);
      frames.push({ kind: KIND, body: { more: true }, payload });
    }
  }
  (frames.at(-1) as Frame).body = { json: json.length };
  return frames;
}

/**
 * Replaces each run of bytes in the message by a mark. A replacer of JSON.stringify can't do this:
 * it sees a Buffer only after that has become an array of numbers.
 */
function withoutBytes(value: unknown, mark: (bytes: Uint8Array) => unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return mark(value);
  if (Array.isArray(value)) return value.map((one) => withoutBytes(one, mark));
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, withoutBytes(one, mark)]),
  );
}

/** Undefined: the parts are no message. */
function messageIn<Message>(parts: Uint8Array[], jsonLength: unknown): Message | undefined {
  if (!Number.isSafeInteger(jsonLength)) return undefined;
  const end = jsonLength as number;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (end < 0 || end > length) return undefined;
  // Usually the text is one part and its bytes another one: nothing is copied.
  const [first] = parts;
  const [head, rest] =
    first !== undefined && first.length === end
      ? [first, together(parts.slice(1))]
      : cut(together(parts), end);
  const text = decodeUtf8(head);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text, (_key, value: unknown) => lifted(value, rest)) as Message;
  } catch {
    return undefined;
  }
}

const together = (parts: Uint8Array[]): Uint8Array =>
  parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);

const cut = (bytes: Uint8Array, at: number): [Uint8Array, Uint8Array] => [
  bytes.subarray(0, at),
  bytes.subarray(at),
];

function lifted(value: unknown, rest: Uint8Array): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, BYTES)) return value;
  const range: unknown = (value as Record<string, unknown>)[BYTES];
  if (!Array.isArray(range)) throw new RangeError('no range');
  const [offset, length] = range as unknown[];
  const isRange = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  const start = offset as number;
  const count = length as number;
  if (!isRange || start < 0 || count < 0 || start + count > rest.length) {
    throw new RangeError('no range');
  }
  return rest.subarray(start, start + count);
}
