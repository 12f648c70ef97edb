/**
 * Messages over the links to peers: what the agent and the barriers of group
 * saves send and hear, whoever is connected just now. A message is any JSON
 * value, in which bytes may stand; it travels as one or more frames, in order.
 *
 * What must hold: a message to one who is not connected is lost, as the fabric
 * may; of a message that comes in no more than MESSAGE_MAX_BYTES are kept, and
 * nothing of it once its link is gone.
 */
import { CommandError } from '../base/errors.js';
import { type Frame, MAX_PAYLOAD_LENGTH } from '../format/frame.js';
import { decodeUtf8 } from '../format/grammar.js';
import type { Fabric } from './fabric.js';
import type { AgentPort, Link } from './link.js';

/** Of one message, as it travels. */
export const MESSAGE_MAX_BYTES = 8 * 1024 * 1024;
const KIND = 'message';
/** Stands in the JSON where bytes belong: `{"$bytes": [offset, length]}`. */
const BYTES = '$bytes';

interface Open {
  link: Link;
  parts: Uint8Array[];
  bytes: number;
}

export class LinkFabric<Message> implements Fabric<Message>, AgentPort {
  readonly kinds = [KIND];
  /** A peer may have two links for a while; what is sent takes the newer one. */
  readonly #open = new Map<Link, Open>();
  #handler: ((from: string, message: Message) => void) | undefined;
  readonly #self: string;
  readonly #later: (action: () => void) => void;

  /** `self`: the UUID of this volume, which may be among those that a message goes to. */
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
    const bytes = parts.length === 1 ? payload : Buffer.concat(parts);
    open.parts = [];
    open.bytes = 0;
    const message = messageIn<Message>(bytes, body['json']);
    if (message === undefined) link.close(`${link.name} sent a message that is not understood`);
    else this.#handler?.(link.peer, message);
  }
}

/** Throws CommandError `message-too-long`. */
function framesOf(message: unknown): Frame[] {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const text = JSON.stringify(message, function (this: Record<string, unknown>, key, value) {
    // Buffers have been made into something else by now.
    const original = this[key];
    if (!(original instanceof Uint8Array)) return value as unknown;
    pieces.push(original);
    length += original.length;
    return { [BYTES]: [length - original.length, original.length] };
  });
  const json = Buffer.from(text);
  const bytes = Buffer.concat([json, ...pieces]);
  if (bytes.length > MESSAGE_MAX_BYTES) {
    throw new CommandError('message-too-long', 'E2BIG', `a message of ${bytes.length} bytes`);
  }
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += MAX_PAYLOAD_LENGTH) {
    const payload = bytes.subarray(at, at + MAX_PAYLOAD_LENGTH);
    const isLast = at + payload.length === bytes.length;
    frames.push({ kind: KIND, body: isLast ? { json: json.length } : { more: true }, payload });
  }
  return frames;
}

/** Undefined: it is none. */
function messageIn<Message>(bytes: Uint8Array, jsonLength: unknown): Message | undefined {
  if (!Number.isSafeInteger(jsonLength)) return undefined;
  const end = jsonLength as number;
  if (end < 0 || end > bytes.length) return undefined;
  const text = decodeUtf8(bytes.subarray(0, end));
  if (text === undefined) return undefined;
  const rest = bytes.subarray(end);
  try {
    return JSON.parse(text, (_key, value: unknown) => lifted(value, rest)) as Message;
  } catch {
    return undefined;
  }
}

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
