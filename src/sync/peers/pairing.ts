/**
 * What two volumes say when they meet, and what they refuse. Pure.
 *
 * Pairing: who has a token shows that it knows the secret, without telling it,
 * by an HMAC over both certificates as they are seen on this connection. One
 * who stands between the two has a certificate of its own on either side, so
 * what it passes on is not accepted. Afterwards the certificates are pinned.
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
/** Of the peering itself, between peers. */
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
  /** Of the certificate that was seen on the connection. */
  fingerprint: string;
}

type Side = 'joiner' | 'inviter';

/** That `side` knows the secret, on the connection between these two. */
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

/** What every first frame says. */
export interface Greeting {
  protocol: number;
  volume: string;
  /** The volume that is meant. */
  to: string;
  epoch: number;
  /** How it calls itself. */
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
  /** Volumes above this one. */
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

/** Throws Refusal. What the other side calls itself becomes a name that is allowed here. */
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

/** Throws Refusal: the certificate is right, but the volume is not the one it was pinned for. */
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

/** Throws Refusal when the downstream is, however far, an upstream of its upstream. */
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

/** The volumes above one that has these peers: each upstream and what is above it. */
export function upstreamsOf(peers: Iterable<PeerRecord>): string[] {
  const all = new Set<string>();
  const upstreams = [...peers].filter(({ direction }) => direction === 'upstream');
  for (const { volume } of upstreams) all.add(volume);
  for (const { upstreams: above } of upstreams) for (const volume of above) all.add(volume);
  return [...all].slice(0, MAX_UPSTREAMS);
}
