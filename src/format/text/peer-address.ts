/** The address of a volume: `HOST:PORT`, with an IPv6 address in brackets. Pure. */
import { CommandError } from '../../lib/errors.js';

export interface PeerAddress {
  /** A host name, an IPv4 or IPv6 address without brackets; empty: listen on all addresses. */
  host: string;
  port: number;
}

const HOST_NAME = /^(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$/;
const IPV6 = /^[0-9A-Fa-f:.]{2,45}(%[\w.-]{1,32})?$/;

/** True for a host name or an address. Whether the host exists shows only when it is dialled. */
export function isHost(host: string): boolean {
  if (host.length > 253) return false;
  return HOST_NAME.test(host) || (host.includes(':') && IPV6.test(host));
}

export function formatAddress({ host, port }: PeerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `HOST:PORT`, `[IPV6]:PORT`, or `:PORT` and `*:PORT` for all addresses. Throws `bad-address`. */
export function parseAddress(text: string): PeerAddress {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const host = parts?.[1] ?? parts?.[2] ?? '';
  const port = Number(parts?.[3] ?? -1);
  const isAll = host === '' || host === '*';
  if (parts === null || port > 65535 || (!isAll && !isHost(host))) {
    throw new CommandError(
      'bad-address',
      'EINVAL',
      `${JSON.stringify(text.slice(0, 300))} is not HOST:PORT (an IPv6 address goes into brackets)`,
    );
  }
  return { host: isAll ? '' : host, port };
}
