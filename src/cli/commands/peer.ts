/** `shadowfs peer invite | join | list | remove` */
import type { Command } from 'commander';
import { spanText, whenText } from '../../lib/age.js';
import type { Answer } from '../../control/command.js';
import type { StandbyState } from '../../daemon/peers/sync-state.js';
import { action, at, type CommonOptions, withTarget } from '../options.js';
import { counted, formatTime, printable, printJson, printLine, warn } from '../output.js';
import { listOf } from '../state.js';
import { printTable } from '../table.js';
import { findMount, findTarget } from '../target.js';
import { durationText } from '../values.js';

interface InviteOptions extends CommonOptions {
  listen?: string;
  name?: string;
  valid: string;
}

interface JoinOptions extends CommonOptions {
  name?: string;
}

interface RemoveOptions extends CommonOptions {
  force?: boolean;
}

export function addPeer(program: Command): void {
  const peer = program
    .command('peer')
    .summary('pair this volume with volumes elsewhere')
    .description('pair this volume with volumes elsewhere, over encrypted connections');
  addInvite(peer);
  addJoin(peer);
  addList(peer);
  addRemove(peer);
}

function addInvite(peer: Command): void {
  withTarget(
    peer
      .command('invite [mountpoint]')
      .summary('print a token for one other volume')
      .description('print a token with which one other volume can follow this one')
      .option('--listen <host:port>', 'where to listen for it (default: all addresses, port 7433)')
      .option('--name <name>', 'its name on this side (default: the name it gives itself)')
      .option('--valid <time>', 'how long the token can be used: 15m, 1h, 7d', durationText, '1h'),
    'shadowfs peer invite ~/documents --valid 15m',
  ).action(
    action(async (mountpoint: string | undefined, options: InviteOptions) => {
      const { control } = await findMount(at(options, mountpoint));
      const { listen, name, valid } = options;
      const words = { valid, ...(listen !== undefined && { listen }) };
      const answer = await control.run('peer-invite', name, words);
      if (options.json) {
        printJson(answer);
        return;
      }
      printLine(String(answer['token']));
      const addresses = (answer['addresses'] as string[]).join(', ');
      warn(
        `the token can be used once, until ${formatTime(Number(answer['expiresMs']))}; ` +
          `it leads to ${addresses}\n` +
          'on the other machine: shadowfs peer join TOKEN MOUNT',
      );
    }),
  );
}

function addJoin(peer: Command): void {
  withTarget(
    peer
      .command('join <token> [mountpoint]')
      .description('follow the volume that made the token')
      .option('--name <name>', 'its name on this side (default: the name it gives itself)'),
    'shadowfs peer join AXiq…Zw ~/standby',
  ).action(
    action(async (token: string, mountpoint: string | undefined, options: JoinOptions) => {
      const { control } = await findMount(at(options, mountpoint));
      const { name } = options;
      const answer = await control.run('peer-join', token, { ...(name !== undefined && { name }) });
      if (options.json) printJson(answer);
      else {
        printLine(
          `joined ${printable(String(answer['name']))} (fingerprint ${shortFingerprint(answer)}): ` +
            'this volume follows it',
        );
      }
    }),
  );
}

/** The first 64 bits, for people to compare. */
function shortFingerprint(peer: Answer): string {
  return String(peer['fingerprint'])
    .slice(0, 16)
    .replace(/(.{4})(?=.)/g, '$1:');
}

function addList(peer: Command): void {
  withTarget(
    peer.command('list [mountpoint]').description('list the peers, oldest first'),
    'shadowfs peer list ~/documents',
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const where = at(options, mountpoint);
      const peers = await listOf(where, 'peers');
      if (peers.length > 0 && (await findTarget(where)).kind === 'volume') {
        warn('the volume is not mounted: what follows was stored when it was');
      }
      if (options.json) {
        for (const line of peers) printJson(line);
        return;
      }
      if (peers.length === 0) {
        printLine('no peers yet (shadowfs peer invite makes a token for one)');
        return;
      }
      const headings = [
        'NAME',
        'DIRECTION',
        'STATE',
        'LAST HEARD',
        'LAG',
        'ADDRESS',
        'VOLUME',
        'FINGERPRINT',
        'SINCE',
      ];
      const nowMs = Date.now();
      printTable(
        headings,
        peers.map((one) => row(one, nowMs)),
      );
      for (const line of peers) {
        const error = line['lastError'] as { timeMs: number; code: string; message: string } | null;
        if (error === null) continue;
        const { timeMs, code, message } = error;
        printLine(printable(`${String(line['name'])}: ${formatTime(timeMs)} ${code}: ${message}`));
      }
    }),
  );
}

function row(peer: Answer, nowMs: number): string[] {
  const addresses = peer['addresses'] as string[];
  const standby = peer['standby'] as Pick<StandbyState, 'missingCount' | 'lagMs'> | null;
  return [
    printable(String(peer['name'])),
    String(peer['direction']),
    stateText(peer, nowMs),
    whenText(timeOf(peer['lastHeardMs']), nowMs),
    standby === null ? '-' : lagText(standby),
    printable(String(peer['connection'] ?? addresses[0] ?? '-')),
    String(peer['volume']),
    shortFingerprint(peer),
    formatTime(Number(peer['sinceMs'])),
  ];
}

const timeOf = (value: unknown): number | null => (typeof value === 'number' ? value : null);

function stateText(peer: Answer, nowMs: number): string {
  const isConnected = peer['connected'] === true;
  const sinceMs = timeOf(peer[isConnected ? 'connectedSinceMs' : 'disconnectedSinceMs']);
  const state = isConnected ? 'connected' : 'not connected';
  return sinceMs === null ? state : `${state} for ${spanText(nowMs - sinceMs)}`;
}

/** How far a standby is behind this volume. */
function lagText({ missingCount, lagMs }: Pick<StandbyState, 'missingCount' | 'lagMs'>): string {
  if (missingCount === null || lagMs === null) return 'unknown';
  if (missingCount === 0) return 'none';
  return `${counted(missingCount, 'snapshot')}, ${spanText(lagMs)}`;
}

function addRemove(peer: Command): void {
  withTarget(
    peer
      .command('remove <name> [mountpoint]')
      .description('forget a peer: both sides refuse each other from now on')
      .option('--force', 'even while snapshots are kept for it'),
    'shadowfs peer remove office',
  ).action(
    action(async (name: string, mountpoint: string | undefined, options: RemoveOptions) => {
      const { control } = await findMount(at(options, mountpoint));
      const words: Record<string, string> = options.force ? { force: 'yes' } : {};
      const answer = await control.run('peer-remove', name, words);
      if (options.json) printJson(answer);
      else printLine(`removed peer ${printable(name)}`);
    }),
  );
}
