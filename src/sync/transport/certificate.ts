/**
 * Makes the certificate by which a volume is known to its peers. Node reads
 * X.509 but can't write it. A self-signed certificate of one fixed form is this
 * short, since its content does not matter: peers pin its fingerprint
 * (native-notes/decisions/0009-certificates.md).
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';

export interface KeyAndCertificate {
  keyPem: string;
  certificatePem: string;
}

const TAG = {
  integer: 0x02,
  bitString: 0x03,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
};
/** OIDs 1.3.101.112 and 2.5.4.3. */
const ED25519 = Buffer.from('2b6570', 'hex');
const COMMON_NAME = Buffer.from('550403', 'hex');
const X509_V3 = 2;

function lengthBytes(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  if (length < 0x100) return Buffer.of(0x81, length);
  return Buffer.of(0x82, length >>> 8, length & 0xff);
}

/** Tag, length, content: the only part of DER that is needed. Content below 64 KiB. */
function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag), lengthBytes(content.length), content]);
}

function serialNumber(): Buffer {
  const serial = randomBytes(16);
  // The serial number is positive, and no leading zero shortens it.
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  return serial;
}

/** DER of a certificate for the key, signed with it. It does not expire: removing it revokes it. */
function certificateOf(key: KeyObject): Buffer {
  const algorithm = der(TAG.sequence, der(TAG.oid, ED25519));
  const name = der(
    TAG.sequence,
    der(
      TAG.set,
      der(TAG.sequence, der(TAG.oid, COMMON_NAME), der(TAG.utf8, Buffer.from('shadowfs'))),
    ),
  );
  // RFC 5280's "no well-defined expiration date".
  const validity = der(
    TAG.sequence,
    der(TAG.utcTime, Buffer.from('200101000000Z')),
    der(TAG.time, Buffer.from('99991231235959Z')),
  );
  const signed = der(
    TAG.sequence,
    der(TAG.version, der(TAG.integer, Buffer.of(X509_V3))),
    der(TAG.integer, serialNumber()),
    algorithm,
    name,
    validity,
    name,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
  );
  const signature = sign(null, signed, key);
  return der(TAG.sequence, signed, algorithm, der(TAG.bitString, Buffer.of(0), signature));
}

export function makeKeyAndCertificate(): KeyAndCertificate {
  const { privateKey } = generateKeyPairSync('ed25519');
  const lines =
    certificateOf(privateKey)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    certificatePem: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
  };
}

/** SHA-256 of a certificate's DER, hexadecimal. */
export function fingerprintOf(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('hex');
}
