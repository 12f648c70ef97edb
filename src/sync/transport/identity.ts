/**
 * The key and certificate of a volume, in one file `identity.pem` (mode 0600)
 * in the volume's directory: made when first needed, as a whole or not at all.
 */
import { constants, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { replaceFile } from '../../lib/durable-file.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import { fingerprintOf, makeKeyAndCertificate } from './certificate.js';

export const IDENTITY_FILE = 'identity.pem';

const CERTIFICATE_START = '-----BEGIN CERTIFICATE-----';

export interface TransportIdentity {
  /** SHA-256 of the certificate, hexadecimal. */
  fingerprint: string;
  context: SecureContext;
}

/**
 * Throws CommandError `identity-damaged`; it never replaces a damaged file, since peers have pinned
 * the certificate.
 */
export function identityOf(volumeDirectory: string): TransportIdentity {
  const path = join(volumeDirectory, IDENTITY_FILE);
  const pem = readIfThere(path) ?? makeIdentity(path);
  try {
    const certificate = new X509Certificate(pem.slice(pem.indexOf(CERTIFICATE_START)));
    return {
      fingerprint: fingerprintOf(certificate.raw),
      context: createSecureContext({
        key: pem,
        cert: pem,
        minVersion: 'TLSv1.3',
        maxVersion: 'TLSv1.3',
        // Each connection must show its certificate again.
        secureOptions: constants.SSL_OP_NO_TICKET,
      }),
    };
  } catch (error) {
    throw new CommandError(
      'identity-damaged',
      'EIO',
      `${path} can't be read as key and certificate (${messageOf(error)}); ` +
        'put it back from a copy, or remove it and pair anew',
    );
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function makeIdentity(path: string): string {
  const { keyPem, certificatePem } = makeKeyAndCertificate();
  const pem = keyPem + certificatePem;
  replaceFile(path, pem, 0o600);
  return pem;
}
