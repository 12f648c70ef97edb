/**
 * What group saves, in the thread of the connections, ask of their volume, in
 * the serving thread. As for the agent: the answer comes when it is durable.
 */
import type { Point } from '../../sync/group/group-messages.js';

export type GroupRequest =
  /** Changes wait from the answer on, until the point is saved, given up, or its time is over. */
  | { op: 'group-park'; point: Point }
  | { op: 'group-unpark' }
  | { op: 'group-save'; point: Point }
  | { op: 'group-keep'; key: string }
  | { op: 'group-drop'; key: string }
  | { op: 'group-commit'; key: string; directors: readonly string[] }
  | { op: 'group-forget'; key: string };

/** What is stored, at the start of the thread. */
export interface GroupStored {
  tentative: Point[];
  commits: { key: string; directors: readonly string[] }[];
}

export interface GroupCommand {
  name: string;
  /** UUIDs of their volumes. */
  peers: readonly string[];
}
