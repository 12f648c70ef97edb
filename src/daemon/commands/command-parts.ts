/** What the commands of a mount need of what is around them. */
import type { Deferred } from '../../lib/deferred.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import type { CommandOrder } from './command-order.js';
import type { CommandVolume } from './command-volume.js';
import type { AskedCommand } from '../peers/agent-messages.js';
import type { PeeringCommand } from '../peers/peering.js';
import type { MountBeside } from '../serve/messages.js';
import type { Freezing } from './freezing.js';
import type { Finish } from './merging.js';

/** A question to another thread, about the committed volume. */
export interface InspectRequest {
  command: 'apply' | 'freeze' | 'check' | 'diff' | 'log' | 'merge' | 'space' | 'undo' | 'versions';
  args: CommandArguments;
  /** Whose live tree it is about; absent: of the branch that a mount would show. */
  branch?: string;
}

export interface CommandParts<V> {
  volume: CommandVolume<V>;
  /** Shared with the other mounts of the volume. Absent: there are none. */
  order?: CommandOrder;
  /**
   * Settles when every write that had returned to its program has reached the volume: writes in the
   * mount of that branch, if there is one; absent: in this mount.
   */
  quiesce(branch?: string): Deferred<void>;
  /**
   * Called as soon as a restore has switched the live view. The returned function runs when the
   * restore is durable, and settles when no cache of the kernel shows the old view any more.
   */
  restored(from: V, to: V): () => Deferred<Answer>;
  inspect(request: InspectRequest): Deferred<Answer>;
  /** Makes another mount of the volume. */
  mount(what: MountBeside): Deferred<Answer>;
  /** Brings the tree into the base; what programs wrote has reached the volume. */
  apply: {
    run(args: CommandArguments, source: string, merged?: string): Deferred<Answer>;
    /** Takes an apply back, or does it again after that. */
    undo(args: CommandArguments, source: string): Deferred<Answer>;
    readonly progress: { done: number; total: number };
  };
  /** Brings a branch into the tree; what programs wrote has reached the volume. */
  merge: {
    run(args: CommandArguments, source: string, finish: Finish<V>): Deferred<Answer>;
    readonly progress: { done: number; total: number };
  };
  /** Copies the rest of the base, beside other commands. */
  freeze: Pick<Freezing, 'begin' | 'end' | 'run' | 'stop' | 'isRunning' | 'progress'>;
  /** Throws CommandError when the volume can't be a standby as it is mounted. */
  checkDemotion(): void;
  /** Numbers in [0, 1). */
  random(): number;
  /** Commands about peers: they wait for the network, and store their changes by `runChange`. */
  peering(command: PeeringCommand, args: CommandArguments, source: string): Deferred<Answer>;
  /** Commands that the sync agent carries out; undefined: there are no peers to ask. */
  agent(
    command: AskedCommand,
    args: CommandArguments,
    source: string,
  ): Deferred<Answer> | undefined;
  /** The text, with the names that people here use in place of the UUIDs of volumes. */
  named(text: string): string;
  /** A monotonic clock, ms. */
  nowMs(): number;
  log(message: string): void;
}
