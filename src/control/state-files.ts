/**
 * The control files that show something: state, whose content is made when the
 * file is opened, and streams, whose reads wait for what is new. In the order
 * in which they are listed.
 */
import { CommandError } from '../lib/errors.js';
import { jsonLine, toJson } from '../format/text/json-text.js';
import { answerLine } from '../format/text/list-text.js';
import type { ControlState, StateFile, StreamFile } from './control-file.js';

/** The newest so many records; what is older stays readable by `shadowfs history --all`. */
const HISTORY_LIMIT = 10_000;
/** As for the history: a file that is made at `open` must have a bound. */
const LAYER_LIMIT = 10_000;

export const STATE_FILES: readonly StateFile[] = [
  // For people, too.
  state('status', (mounted) => indented(mounted.status())),
  state('role', (mounted) => jsonLine({ ...mounted.role() })),
  state('lag', (mounted) => jsonLine(mounted.lag())),
  {
    // The line `reset` has it count from nothing again.
    ...state('stats', (mounted) => indented(mounted.stats())),
    written: (mounted, text) => {
      if (text.trim() !== 'reset') {
        throw new CommandError('bad-command-line', 'EINVAL', 'the only command of stats is reset', {
          expected: 'reset',
          example: 'echo reset > .control/stats',
        });
      }
      mounted.resetStats();
    },
  },
  state('snapshots', (mounted) => jsonLines(mounted.snapshots())),
  state('branches', (mounted) => jsonLines(mounted.branches())),
  state('history', (mounted) => jsonLines(mounted.history(HISTORY_LIMIT))),
  state('layers', (mounted) => jsonLines(mounted.layers(LAYER_LIMIT))),
  state('locks', (mounted) => jsonLines(mounted.locks())),
  state('peers', (mounted) => jsonLines(mounted.peers())),
  // The last command's answer; empty before the first.
  state('result', (mounted) => {
    const answer = mounted.result();
    return answer === undefined ? '' : answerLine(answer);
  }),
];

export const STREAM_FILES: readonly StreamFile[] = [
  /** What commands did. */
  { kind: 'stream', name: 'events', isPrivate: false, isWritable: false },
  /** Requests as they are answered. */
  { kind: 'stream', name: 'trace', isPrivate: true, isWritable: true },
];

function state(name: string, content: (mounted: ControlState) => string | Buffer): StateFile {
  return { kind: 'state', name, content };
}

function indented(value: object): string {
  return `${toJson(value, 2)}\n`;
}

/** One line for each. */
function jsonLines(items: Iterable<object>): string {
  const lines: string[] = [];
  for (const item of items) lines.push(jsonLine(item));
  return lines.join('');
}
