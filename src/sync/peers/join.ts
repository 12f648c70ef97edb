/** The joiner's side of pairing: one request, at the token's address that answers first. */
import { CommandError, type ErrnoName } from '../../lib/errors.js';
import { formatAddress, type PeerAddress } from '../../format/text/peer-address.js';
import { invitationId, type PairingToken } from '../../format/wire/pairing-token.js';
import type { Timers } from '../fabric.js';
import type { Connection, EndReason, Transport } from './link.js';
import {
  greetingFrame,
  isSameProof,
  proofOf,
  readGreeting,
  Refusal,
  refuseRing,
  type Self,
} from './pairing.js';
import type { JoinAnswer } from './peering-messages.js';

const ANSWER_MS = 20_000;

export interface JoinParts {
  transport: Transport;
  timers: Timers;
  self: Self;
}

/** Rejects with CommandError: the other side's refusal, or why it can't be reached. */
export async function joinByToken(parts: JoinParts, token: PairingToken): Promise<JoinAnswer> {
  const failures: string[] = [];
  for (const address of token.addresses) {
    let connection: Connection;
    try {
      connection = await dialOnce(parts.transport, address, token.fingerprint);
    } catch (error) {
      failures.push((error as Error).message);
      continue;
    }
    return await askToJoin(parts, token, address, connection);
  }
  throw new CommandError(
    'peer-unreachable',
    'EHOSTUNREACH',
    `the volume that invites can't be reached: ${failures.join('; ')}`,
  );
}

function dialOnce(
  transport: Transport,
  address: PeerAddress,
  fingerprint: string,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    transport.dial(address, fingerprint, {
      onConnection: resolve,
      onFailure: (reason) => reject(errorOf(reason)),
    });
  });
}

function errorOf({ code, message }: EndReason): CommandError {
  const errno: Record<string, ErrnoName> = {
    'peer-unreachable': 'EHOSTUNREACH',
    'peer-ring': 'ELOOP',
    'peer-exists': 'EEXIST',
    'newer-protocol': 'EOPNOTSUPP',
    'used-invitation': 'EACCES',
    'expired-invitation': 'ESTALE',
  };
  return new CommandError(code, errno[code] ?? 'EACCES', message);
}

function askToJoin(
  { transport, timers, self }: JoinParts,
  token: PairingToken,
  address: PeerAddress,
  connection: Connection,
): Promise<JoinAnswer> {
  const joiner = { volume: self.volume, fingerprint: transport.fingerprint };
  const inviter = { volume: token.volume, fingerprint: token.fingerprint };
  return new Promise((resolve, reject) => {
    const fail = (reason: EndReason): void => {
      stop();
      reject(errorOf(reason));
    };
    const stop = timers.after(ANSWER_MS, () =>
      connection.end('peer-silent', `${formatAddress(address)} did not answer the request to join`),
    );
    connection.onEnd = fail;
    connection.onFrame = ({ kind, body }) => {
      try {
        if (kind !== 'joined') throw new Refusal('bad-frame', `a frame ${kind} has no place here`);
        const { volume, name, upstreams } = readGreeting(body, self);
        const expected = proofOf('inviter', token.secret, joiner, inviter);
        if (volume !== token.volume || !isSameProof(expected, String(body['proof']))) {
          throw new Refusal('wrong-proof', 'the other side does not know the secret of the token');
        }
        refuseRing(self.volume, volume, upstreams);
        stop();
        connection.onEnd = undefined;
        connection.end('joined', 'paired');
        resolve({ volume, name, fingerprint: token.fingerprint, upstreams, address });
      } catch (error) {
        const { code, message } =
          error instanceof Refusal ? error : new Refusal('internal-error', String(error));
        connection.end(code, message);
      }
    };
    const invitation = invitationId(token.secret);
    const proof = proofOf('joiner', token.secret, joiner, inviter);
    connection.send(greetingFrame('join', self, token.volume, { invitation, proof }));
  });
}
