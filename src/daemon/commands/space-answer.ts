/** The answer of `space`. */
import { textOfByteString } from '../../lib/byte-text.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import { measureSpace } from '../../volume/space/space.js';
import type { Volume } from '../../volume/volume.js';

export type {
  BranchSpace as BranchSpaceLine,
  Figures as SpaceFigures,
  SetSpace as SpaceSet,
  SnapshotSpace as SnapshotSpaceLine,
} from '../../volume/space/space.js';

export interface SpaceFile {
  /** Null: it has no name there, since a program had it open. */
  path: string | null;
  heldBytes: number;
  snapshot: string | null;
  branch: string | null;
}

/** With names, only what those hold is listed. */
export function spaceAnswer(
  volume: Volume,
  { names, branches, files }: CommandArguments,
  onProgress: (done: number, total: number) => void,
): Answer {
  const report = measureSpace(volume, {
    ...(names !== undefined && { words: names }),
    ...(branches !== undefined && { branches }),
    ...(files !== undefined && { files }),
    onProgress,
  });
  const { set, usedBytes, totals, isExact } = report;
  return {
    liveBranch: report.live,
    usedBytes,
    ...totals,
    isExact,
    bySnapshot: report.snapshots.filter(({ name }) => set?.snapshots.includes(name) ?? true),
    byBranch: report.branches.filter(({ name }) => set?.branches.includes(name) ?? true),
    ...(set !== undefined && { together: set }),
    ...(report.files !== undefined && {
      largestFiles: report.files.map(
        ({ path, bytes, snapshot, branch }): SpaceFile => ({
          path: path === undefined ? null : textOfByteString(path),
          heldBytes: bytes,
          snapshot: snapshot ?? null,
          branch: branch ?? null,
        }),
      ),
    }),
  };
}
