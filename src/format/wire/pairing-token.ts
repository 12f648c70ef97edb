/**
 * The token of an invitation, as it is copied from one machine to another:
 * base64url of
 *
 *   version u8 · volume UUID 16 · fingerprint 32 · secret 16 ·
 *   count u8 · (length u8 · host, port u16)… · first 4 bytes of SHA-256 of all before
 *
 * Pure. The version comes first and stays first, so that a token of a newer
 * version is known as such.
 */
import { createHash } from 'node:crypto';
import { CommandError } from '../../lib/errors.js';
import { uint16At } from '../big-endian.js';
import { decodeUtf8 } from '../../lib/byte-text.js';
import { isHost, type PeerAddress } from '../text/peer-address.js';

export const TOKEN_VERSION = 1;
export const SECRET_LENGTH = 16;
export const FINGERPRINT_LENGTH = 32;
const MAX_ADDRESSES = 16;
const MAX_TOKEN_TEXT = 8 * 1024;
const CHECK_LENGTH = 4;
const ADDRESSES_AT = 1 + 16 + FINGERPRINT_LENGTH + SECRET_LENGTH;

export interface PairingToken {
  /** The volume that invites. */
  volume: string;
  /** SHA-256 of its certificate, hexadecimal. */
  fingerprint: string;
  secret: Buffer;
  addresses: PeerAddress[];
}

function sumOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest().subarray(0, CHECK_LENGTH);
}

/** The name of an invitation on both sides; it does not reveal the secret. */
export function invitationId(secret: Uint8Array): string {
  return createHash('sha256')
    .update('shadowfs invitation')
    .update(secret)
    .digest('hex')
    .slice(0, 16);
}

export function encodeToken(token: PairingToken): string {
  const parts = [
    Buffer.of(TOKEN_VERSION),
    Buffer.from(token.volume.replaceAll('-', ''), 'hex'),
    Buffer.from(token.fingerprint, 'hex'),
    token.secret,
  ];
  const addresses = token.addresses.slice(0, MAX_ADDRESSES);
  parts.push(Buffer.of(addresses.length));
  for (const { host, port } of addresses) {
    const text = Buffer.from(host);
    parts.push(Buffer.of(text.length), text, Buffer.of(port >>> 8, port & 0xff));
  }
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, sumOf(bytes)]).toString('base64url');
}

function malformed(): CommandError {
  return new CommandError(
    'bad-invitation',
    'EINVAL',
    'this is not an invitation token, or a part of it is missing (shadowfs peer invite prints one)',
  );
}

/** Throws CommandError `bad-invitation` or `newer-invitation`. */
export function decodeToken(text: string): PairingToken {
  const trimmed = text.trim();
  if (trimmed.length > MAX_TOKEN_TEXT || !/^[\w-]+$/.test(trimmed)) throw malformed();
  const bytes = Buffer.from(trimmed, 'base64url');
  const end = bytes.length - CHECK_LENGTH;
  const version = bytes[0];
  if (version === undefined || end < 1) throw malformed();
  if (!sumOf(bytes.subarray(0, end)).equals(bytes.subarray(end))) throw malformed();
  if (version > TOKEN_VERSION) {
    throw new CommandError(
      'newer-invitation',
      'EOPNOTSUPP',
      `the token was made by a newer version of shadowfs (its form is ${version}, known here is ${TOKEN_VERSION})`,
    );
  }
  if (version === 0 || end < ADDRESSES_AT + 1) throw malformed();
  const volume = bytes
    .toString('hex', 1, 17)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  const fingerprint = bytes.toString('hex', 17, 17 + FINGERPRINT_LENGTH);
  const secret = Buffer.from(bytes.subarray(ADDRESSES_AT - SECRET_LENGTH, ADDRESSES_AT));
  return { volume, fingerprint, secret, addresses: readAddresses(bytes.subarray(0, end)) };
}

function readAddresses(bytes: Buffer): PeerAddress[] {
  const count = bytes[ADDRESSES_AT] as number;
  if (count === 0 || count > MAX_ADDRESSES) throw malformed();
  const addresses: PeerAddress[] = [];
  let at = ADDRESSES_AT + 1;
  for (let i = 0; i < count; i++) {
    const length = bytes[at] ?? 0;
    const hostEnd = at + 1 + length;
    if (hostEnd + 2 > bytes.length) throw malformed();
    const host = decodeUtf8(bytes.subarray(at + 1, hostEnd));
    const port = uint16At(bytes, hostEnd);
    if (host === undefined || !isHost(host) || port === 0) throw malformed();
    addresses.push({ host, port });
    at = hostEnd + 2;
  }
  if (at !== bytes.length) throw malformed();
  return addresses;
}
