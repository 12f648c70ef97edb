/**
 * The state of the sync for a monitor, in the form of monitoring plugins
 * (Nagios, Icinga, Naemon, Zabbix): one line with figures, and an exit code. Pure.
 */
import { spanText, whenText } from '../../lib/age.js';
import type { StandbyState, SyncState } from '../../daemon/peers/sync-state.js';
import { standbyLagText } from './sync-text.js';

export const CHECK_STATUS = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;
/** The exit code; its word is in CHECK_STATUS. */
export type CheckCode = 0 | 1 | 2 | 3;

export interface SyncCheck {
  code: CheckCode;
  summary: string;
  /** As plugins give them: `label=value;warning;critical;least`. */
  figures: string[];
}

interface Finding {
  code: CheckCode;
  text: string;
}

/** `maxLagMs`: how far behind a volume may be, on top of its own interval of fetching. */
export function checkSync(state: SyncState, maxLagMs: number, nowMs: number): SyncCheck {
  const { upstream, standbys, handoverTo } = state;
  if (upstream === null && standbys.length === 0 && handoverTo === null) {
    const summary = `this volume (${state.role}) follows nobody and nobody follows it`;
    return { code: 3, summary, figures: [] };
  }
  const limitMs = maxLagMs + (state.everyMs ?? 0);
  const found: Finding[] = [
    ...state.problems.map(
      ({ severity, message }): Finding => ({
        code: severity === 'critical' ? 2 : severity === 'warning' ? 1 : 0,
        text: message,
      }),
    ),
    ...(upstream === null ? [] : lagOf(state, limitMs)),
    ...standbys.flatMap((standby) => lagOfStandby(standby, maxLagMs)),
  ].sort((a, b) => b.code - a.code);
  const code = found.reduce<CheckCode>((worst, one) => (one.code > worst ? one.code : worst), 0);
  const summary = [
    ...found.map(({ text }) => text),
    ...(found.length === 0 ? wellTexts(state, nowMs) : []),
  ].join('; ');
  return { code, summary, figures: figuresOf(state, limitMs, maxLagMs) };
}

function lagOf({ upstream, lagMs, connected }: SyncState, limitMs: number): Finding[] {
  if (lagMs === null) {
    const text = `how far this volume is behind ${upstream} is not known`;
    // Connected, it is about to find out, or receives its first snapshot.
    return [{ code: connected === true ? 1 : 2, text }];
  }
  if (lagMs <= limitMs) return [];
  const text = `${spanText(lagMs)} behind ${upstream} (the limit is ${spanText(limitMs)})`;
  return [{ code: 2, text }];
}

function lagOfStandby({ name, lagMs, has }: StandbyState, limitMs: number): Finding[] {
  if (lagMs === null) return [{ code: 1, text: `how far ${name} is behind is not known` }];
  if (lagMs <= limitMs) return [];
  const newest = has === null ? 'it has no snapshot yet' : `it has ${has}`;
  const limit = `the limit is ${spanText(limitMs)}`;
  return [{ code: 2, text: `${name} is ${spanText(lagMs)} behind (${newest}; ${limit})` }];
}

function wellTexts(
  { upstream, level, lastHeardMs, lagMs, standbys }: SyncState,
  nowMs: number,
): string[] {
  const behind = level ? 'has all of its snapshots' : `is ${spanText(lagMs ?? 0)} behind`;
  const heard = whenText(lastHeardMs, nowMs);
  return [
    ...(upstream === null ? [] : [`follows ${upstream} and ${behind}, last heard ${heard}`]),
    ...standbys.map((standby) => `${standby.name} ${standbyLagText(standby)}`),
  ];
}

function figuresOf(state: SyncState, limitMs: number, maxLagMs: number): string[] {
  const { upstream, lagMs, missingCount, standbys } = state;
  const seconds = (ms: number): number => Math.round(ms / 1000);
  const lag = (label: string, ms: number | null, criticalMs: number): string =>
    `${label}=${ms === null ? 'U' : `${seconds(ms)}s`};;${seconds(criticalMs)};0`;
  return [
    ...(upstream === null ? [] : [lag('lag', lagMs, limitMs), `snapshots=${missingCount};;;0`]),
    ...standbys.map((standby) => lag(`'lag of ${standby.name}'`, standby.lagMs, maxLagMs)),
  ];
}
