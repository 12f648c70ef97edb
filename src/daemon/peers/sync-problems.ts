/** What is wrong with the sync of a volume, in words for people and codes for monitors. Pure. */
import { spanText, whenText } from '../../lib/age.js';
import type { Problem, StandbyState, SyncState } from './sync-state.js';

/**
 * `offline`: why there are no connections at all. `isRemoved`: the volume that this one follows is
 * not among its peers any more.
 */
export function problemsOf(
  state: SyncState,
  nowMs: number,
  offline: string | undefined,
  isRemoved: boolean,
): Problem[] {
  return [
    ...(offline !== undefined && (state.upstream !== null || state.standbys.length > 0)
      ? [warning('offline', `this volume is ${offline}: it connects to nobody`)]
      : []),
    ...upstreamProblems(state, nowMs, isRemoved),
    ...handoverProblems(state),
    ...state.conflicts.map(({ message }) => critical('two-primaries', message)),
    ...state.standbys
      .filter(({ connected }) => !connected)
      .map((standby) => warning('standby-not-connected', awayText(standby, nowMs))),
  ];
}

const warning = (code: string, message: string): Problem => ({
  code,
  severity: 'warning',
  message,
});
const critical = (code: string, message: string): Problem => ({
  code,
  severity: 'critical',
  message,
});

function upstreamProblems(state: SyncState, nowMs: number, isRemoved: boolean): Problem[] {
  const { upstream, connected, error, isPaused } = state;
  if (upstream === null) return [];
  if (isRemoved) {
    return [
      critical(
        'upstream-removed',
        `the volume ${upstream}, which this standby follows, is not among its peers: pair it again ` +
          '("shadowfs peer join TOKEN"), or make this one the primary ("shadowfs promote")',
      ),
    ];
  }
  const problems: Problem[] = [];
  if (connected === false) {
    problems.push(warning('not-connected', awayText({ ...state, name: upstream }, nowMs)));
  } else if (error !== null) {
    problems.push(warning('sync-failed', `the last attempt failed: ${error}`));
  }
  if (isPaused) {
    const message = 'paused: nothing is fetched until "shadowfs sync resume"';
    problems.push({ code: 'paused', severity: 'notice', message });
  }
  return problems;
}

function handoverProblems({ handoverTo }: SyncState): Problem[] {
  if (handoverTo === null) return [];
  const message =
    `${handoverTo} is to take the place of this volume and has not done so yet: ` +
    'it does when both are connected and the last snapshot has arrived there';
  return [warning('switchover-unfinished', message)];
}

type Away = Pick<StandbyState, 'name' | 'disconnectedSinceMs' | 'lastHeardMs' | 'error'>;

/** Of a peer that is not connected. */
export function awayText(
  { name, disconnectedSinceMs, lastHeardMs, error }: Away,
  nowMs: number,
): string {
  const since = disconnectedSinceMs === null ? '' : ` for ${spanText(nowMs - disconnectedSinceMs)}`;
  const why = error === null ? '' : `: ${error}`;
  return `${name} is not connected${since}, last heard ${whenText(lastHeardMs, nowMs)}${why}`;
}
