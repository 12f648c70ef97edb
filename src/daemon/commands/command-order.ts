/**
 * The order of the commands of a volume, which its mounts share: one after
 * another, whichever mount they are given at. And how far the current ones are.
 */
import type { Answer } from '../../control/command.js';
import { CommandQueue } from '../../control/command-queue.js';
import { round } from '../../lib/round.js';

/** What `status` shows about the current command. */
export interface CommandProgress {
  command: string;
  phase: string;
  elapsedMs: number;
  /** Progress of an inspection; total 0: not known yet. */
  doneCount?: number;
  totalCount?: number;
  /** The same, where it counts bytes. */
  doneBytes?: number;
  totalBytes?: number;
}

interface Done {
  done: number;
  total: number;
}

/** Phases in which progress is counted. */
const COUNTED: ReadonlySet<string> = new Set(['apply', 'merge']);

export class CommandOrder {
  /** Commands that change the volume. */
  readonly changes = new CommandQueue<Answer>();
  /** Inspections take long and change nothing: they wait only for each other. */
  readonly inspections = new CommandQueue<Answer>();
  /** Commands that wait for another machine must not delay a save. */
  readonly peerings = new CommandQueue<Answer>();
  /**
   * Changes of the role, one at a time, by whichever side carries them out. A failover does not
   * wait for a transfer.
   */
  readonly roleChanges = new CommandQueue<Answer>();
  /** Of the current change. */
  phase = '';
  startedMs = 0;
  /** Of the current apply or merge. */
  counted: (() => Done) | undefined;
  /** Of the current inspection. */
  inspected: Done = { done: 0, total: 0 };
  inspectStartedMs = 0;
  freezeStartedMs = 0;
  compactStartedMs = 0;

  /** `freeze`, `compact`: the running one's progress; undefined: none runs. */
  progress(
    nowMs: number,
    freeze: Done | undefined,
    compact: (Done & { phase: string }) | undefined,
  ): CommandProgress | undefined {
    const command = this.changes.current;
    if (command !== undefined) {
      return {
        command,
        phase: this.phase,
        elapsedMs: round(nowMs - this.startedMs),
        ...(COUNTED.has(this.phase) && this.counted !== undefined && shown(this.counted())),
      };
    }
    if (freeze !== undefined) {
      const elapsedMs = round(nowMs - this.freezeStartedMs);
      const { done: doneBytes, total: totalBytes } = freeze;
      return { command: 'freeze', phase: 'copy', elapsedMs, doneBytes, totalBytes };
    }
    if (compact !== undefined) {
      const { phase, done: doneBytes, total: totalBytes } = compact;
      const elapsedMs = round(nowMs - this.compactStartedMs);
      return { command: 'compact', phase, elapsedMs, doneBytes, totalBytes };
    }
    const inspection = this.inspections.current;
    if (inspection === undefined) return undefined;
    const elapsedMs = round(nowMs - this.inspectStartedMs);
    return { command: inspection, phase: 'inspect', elapsedMs, ...shown(this.inspected) };
  }
}

function shown({ done, total }: Done) {
  return { doneCount: done, totalCount: total };
}
