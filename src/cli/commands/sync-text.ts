/** The state of the sync as lines for people. Pure. */
import { spanText, whenText } from '../../lib/age.js';
import type { StandbyState, SyncState } from '../../daemon/peers/sync-state.js';
import { counted, formatTime, printable } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';

/** Every line about a peer says when the peer was heard last. */
export function syncLines(state: SyncState, mountpoint: string, nowMs: number): string[] {
  const { upstream, role, problems, every, isRunning, receivedBytes, standbys } = state;
  const lines: string[] = [];
  if (upstream === null) lines.push(`${mountpoint} (${role}) follows nobody`);
  else if (state.connected === true) lines.push(connectedLine(state, mountpoint, nowMs));
  else lines.push(...awayLines(state, mountpoint, nowMs));
  if (every !== 'always') lines.push(`fetches what is new ${every}`);
  if (state.keeps !== 'all') lines.push(`keeps of what its primary deletes: ${state.keeps}`);
  if (isRunning && receivedBytes > 0) lines.push(`receiving: ${formatBytes(receivedBytes)} so far`);
  // The rest of the problems are in these lines and in those of the standbys.
  const told = new Set(['not-connected', 'standby-not-connected']);
  for (const { code, message } of problems) if (!told.has(code)) lines.push(printable(message));
  for (const standby of standbys) lines.push(standbyLine(standby, nowMs));
  return lines;
}

function connectedLine(state: SyncState, mountpoint: string, nowMs: number): string {
  const { role, level, missingCount, lastHeardMs, levelMs } = state;
  const upstream = printable(String(state.upstream));
  const behind = level
    ? 'has all of its snapshots'
    : missingCount > 0
      ? `is ${behindText(state)} behind`
      : levelMs === null
        ? 'has not compared its snapshots yet'
        : `had all of its snapshots ${whenText(levelMs, nowMs)}`;
  const heard = `last heard ${whenText(lastHeardMs, nowMs)}`;
  return `${mountpoint} (${role}) follows ${upstream} and ${behind}; connected, ${heard}`;
}

function awayLines(state: SyncState, mountpoint: string, nowMs: number): string[] {
  const { role, missingCount, pendingBytes, lastHeardMs, levelMs, seenMs, error } = state;
  const upstream = printable(String(state.upstream));
  const bytes = pendingBytes === null ? '' : ` (${formatBytes(pendingBytes)})`;
  const behind =
    missingCount > 0
      ? `it lacked ${counted(missingCount, 'snapshot')}${bytes} ${whenText(seenMs, nowMs)}`
      : levelMs === null
        ? 'how far it is behind is not known'
        : `it had all of the snapshots ${whenText(levelMs, nowMs)}; it does not know of newer ones`;
  return [
    `${mountpoint} (${role}) follows ${upstream}, which is not connected${sinceText(state, nowMs)}; ` +
      `last heard ${whenText(lastHeardMs, nowMs)}`,
    behind,
    ...(error === null ? [] : [`why: ${printable(error)}`]),
  ];
}

/** `2 snapshots, 20M and 3 minutes`. */
function behindText({ missingCount, lagMs, pendingBytes }: SyncState): string {
  const parts = [
    counted(missingCount, 'snapshot'),
    ...(pendingBytes === null ? [] : [formatBytes(pendingBytes)]),
    ...(lagMs === null ? [] : [spanText(lagMs)]),
  ];
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

function sinceText(
  { disconnectedSinceMs }: Pick<StandbyState, 'disconnectedSinceMs'>,
  nowMs: number,
): string {
  if (disconnectedSinceMs === null) return '';
  return ` since ${formatTime(disconnectedSinceMs)} (${spanText(nowMs - disconnectedSinceMs)})`;
}

function standbyLine(standby: StandbyState, nowMs: number): string {
  const { name, connected, lastHeardMs, error } = standby;
  const heard = `last heard ${whenText(lastHeardMs, nowMs)}`;
  const link = connected
    ? `connected, ${heard}`
    : `not connected${sinceText(standby, nowMs)}, ${heard}${error === null ? '' : `: ${error}`}`;
  return printable(`standby ${name} ${standbyLagText(standby)}; ${link}`);
}

/** `has all snapshots (newest: monday)`. */
export function standbyLagText({ has, missingCount, lagMs }: StandbyState): string {
  if (missingCount === null) return 'has not said yet which snapshots it has';
  const newest = has === null ? '' : ` (newest: ${has})`;
  if (missingCount === 0) return has === null ? 'lacks nothing' : `has all snapshots${newest}`;
  const lag = lagMs === null ? '' : ` and ${spanText(lagMs)}`;
  return `is ${counted(missingCount, 'snapshot')}${lag} behind${newest}`;
}
