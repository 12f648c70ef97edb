/**
 * The messages of two volumes that meet, and what they refuse. Pure.
 *
 * Pairing: the holder of a token proves that it knows the secret, without
 * revealing it, by an HMAC over both certificates as seen on this connection.
 * An attacker between the two sides has a certificate of its own on either
 * side, so a proof that it passes on is not accepted. Afterwards the
 * certificates are pinned.
 */
import { isUuid } from '../../lib/fields.js';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { CommandError } from '../../lib/errors.js';
import { isCount } from '../../lib/fields.js';
import { type Frame, NO_PAYLOAD } from '../../format/wire/frame.js';
import { shorten } from '../../format/text/grammar.js';
import {
  isUpstreams,
  MAX_UPSTREAMS,
  type PeerRecord,
  peerNameFrom,
} from '../../format/records/peer-record.js';

export const PEERING_VERSION = 1;

/** Kinds of frames that are understood before the other side is known. */
export const GREETINGS = ['hello', 'join', 'joined'] as const;
/** A kind of frame between peers, for the peering itself. */
export const UPSTREAMS_KIND = 'upstreams';

/** A refusal, in the same words on both sides. */
export class Refusal extends CommandError {
  constructor(code: string, message: string) {
    super(code, code === 'peer-ring' ? 'ELOOP' : 'EACCES', message);
    this.name = 'Refusal';
  }
}

export interface Party {
  volume: string;
  /** The fingerprint of the certificate that was seen on the connection. */
  fingerprint: string;
}

type Side = 'joiner' | 'inviter';

/** Proves that `side` knows the secret, on the connection between these two. */
export function proofOf(side: Side, secret: Uint8Array, joiner: Party, inviter: Party): string {
  const mac = createHmac('sha256', secret);
  mac.update(`shadowfs ${side} ${PEERING_VERSION}\n`);
  for (const { volume, fingerprint } of [joiner, inviter]) mac.update(`${volume} ${fingerprint}\n`);
  return mac.digest('hex');
}

export function isSameProof(expected: string, given: string): boolean {
  const left = Buffer.from(expected);
  const right = Buffer.from(given);
  return left.length === right.length && timingSafeEqual(left, right);
}

/** The content of every first frame. */
export interface Greeting {
  protocol: number;
  volume: string;
  /** The volume that the sender wants to reach. */
  to: string;
  epoch: number;
  /** The name that the sender calls itself. */
  name: string;
  upstreams: string[];
}

export interface Join extends Greeting {
  invitation: string;
  proof: string;
}

export interface Self {
  volume: string;
  name: string;
  epoch: number;
  /** The volumes above this one. */
  upstreams: string[];
}

export function greetingFrame(
  kind: (typeof GREETINGS)[number],
  self: Self,
  to: string,
  more: Record<string, unknown> = {},
): Frame {
  const { volume, name, epoch, upstreams } = self;
  const greeting: Greeting = { protocol: PEERING_VERSION, volume, to, epoch, name, upstreams };
  return { kind, body: { ...greeting, ...more }, payload: NO_PAYLOAD };
}

/** Throws Refusal. Turns the sender's name for itself into a name that is allowed here. */
export function readGreeting(body: Record<string, unknown>, self: Self): Greeting {
  const { protocol, volume, to, epoch, name, upstreams } = body;
  if (!isCount(protocol) || protocol === 0)
    throw new Refusal('bad-frame', 'the greeting has no version');
  if (protocol > PEERING_VERSION) {
    throw new Refusal(
      'newer-protocol',
      `one side speaks version ${protocol} of the protocol, the other one only ${PEERING_VERSION}: update shadowfs there`,
    );
  }
  const isWhole = isUuid(volume) && isUuid(to) && isCount(epoch) && typeof name === 'string';
  if (!isWhole || !isUpstreams(upstreams)) {
    throw new Refusal('bad-frame', 'the greeting is not understood');
  }
  if (to !== self.volume) {
    throw new Refusal(
      'wrong-volume',
      `the volume ${to} was expected here, but this is ${self.volume}`,
    );
  }
  return {
    protocol,
    volume,
    to,
    epoch: epoch as number,
    name: peerNameFrom(shorten(name)),
    upstreams,
  };
}

/** Throws Refusal. */
export function readJoin(body: Record<string, unknown>, self: Self): Join {
  const { invitation, proof } = body;
  if (typeof invitation !== 'string' || typeof proof !== 'string') {
    throw new Refusal('bad-frame', 'the request to join is not understood');
  }
  return { ...readGreeting(body, self), invitation, proof };
}

/** Throws Refusal: the certificate is pinned, but for another volume. */
export function checkIsPeer(greeting: Greeting, peer: PeerRecord, self: Self): void {
  if (greeting.volume !== peer.volume) {
    throw new Refusal(
      'wrong-volume',
      `the volume ${peer.volume} was expected, but the other side is ${greeting.volume}`,
    );
  }
  if (peer.direction === 'upstream') refuseRing(self.volume, greeting.volume, greeting.upstreams);
  else refuseRing(greeting.volume, self.volume, self.upstreams);
}

/** Throws Refusal when the downstream is, directly or indirectly, an upstream of its upstream. */
export function refuseRing(
  downstream: string,
  upstream: string,
  aboveUpstream: readonly string[],
): void {
  if (downstream !== upstream && !aboveUpstream.includes(downstream)) return;
  const chain = [upstream, ...aboveUpstream];
  const path = chain.slice(0, chain.indexOf(downstream) + 1);
  throw new Refusal(
    'peer-ring',
    `the volumes would follow each other in a ring: ${downstream} would follow ${path.join(', which follows ')}`,
  );
}

/** The volumes above a volume with these peers: each upstream and the volumes above it. */
export function upstreamsOf(peers: Iterable<PeerRecord>): string[] {
  const all = new Set<string>();
  const upstreams = [...peers].filter(({ direction }) => direction === 'upstream');
  for (const { volume } of upstreams) all.add(volume);
  for (const { upstreams: above } of upstreams) for (const volume of above) all.add(volume);
  return [...all].slice(0, MAX_UPSTREAMS);
}
