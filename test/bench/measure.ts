/** A run: which file systems and workloads take part, and what was found. */
import { join, resolve } from 'node:path';
import { compareSystems, type Failure } from './compare-systems.js';
import { applyFigures } from './figures/apply.js';
import { bySize } from './figures/by-size.js';
import { coherentFigures } from './figures/coherent.js';
import { deleteFigures } from './figures/delete-middle.js';
import { depthFigures } from './figures/depth.js';
import { spaceFigures } from './figures/space.js';
import { tenBranches } from './figures/ten-branches.js';
import { transferFigures } from './figures/transfer.js';
import type { Image } from './image.js';
import type { Material } from './material.js';
import type { Options } from './options.js';
import { type Worse, worseText, worseThan, worseTwice } from './report/guard.js';
import type { Measured, Roles } from './report/measured.js';
import type { RecordedRow } from './report/records.js';
import { btrfs, ext4, overlayfs, xfs } from './systems/disks.js';
import { FUSE_PEERS } from './systems/fuse-peers.js';
import { Shadowfs } from './systems/shadowfs.js';
import type { System } from './systems/system.js';
import { STAGES } from './workloads/stages.js';
import type { Stage } from './workloads/workload.js';

const OTHERS: readonly System[] = [btrfs, xfs, overlayfs, ...FUSE_PEERS];
export const OWN = 'shadowfs';
const OWN_NATIVE = 'shadowfs-native';
const FIGURES = [
  bySize,
  coherentFigures,
  depthFigures,
  deleteFigures,
  tenBranches,
  applyFigures,
  spaceFigures,
  transferFigures,
];

export const KNOWN = {
  stages: STAGES,
  figures: FIGURES.flatMap(({ names }) => names),
  systems: [...OTHERS.map(({ name }) => name), OWN_NATIVE],
};

/** All there are, whether they take part or not: who is a peer is needed for the chart too. */
export const ALL_ROLES: Roles = {
  disk: ext4.name,
  kernel: OTHERS.filter(({ role }) => role === 'kernel').map(({ name }) => name),
  peers: OTHERS.filter(({ role }) => role === 'peer').map(({ name }) => name),
  own: [OWN, OWN_NATIVE],
};

export interface Run {
  image: Image;
  options: Options;
  systems: readonly System[];
  roles: Roles;
  material: Material;
  say: (message: string) => void;
}

export interface Found {
  /** Beside others, and of shadowfs alone. */
  compared: Measured[];
  own: Measured[];
  /** Tables about shadowfs alone. */
  sections: string[];
  leftOut: string[];
  failures: Failure[];
}

export function wantedSystems(image: Image, options: Options, checkout: string): System[] {
  // The guard compares ratios to the disk: nobody else need take part.
  const names = options.systems ?? (options.isGuard ? [OWN_NATIVE] : KNOWN.systems);
  const shadowfs = (name: string, from: string, driver: 'kernel' | 'fuse-native'): Shadowfs =>
    new Shadowfs({
      name,
      checkout: from,
      stateDirectory: join(image.directory, `state-${name}`),
      driver,
    });
  const systems = [ext4, ...OTHERS.filter(({ name }) => names.includes(name))];
  systems.push(shadowfs(OWN, checkout, 'kernel'));
  if (names.includes(OWN_NATIVE)) systems.push(shadowfs(OWN_NATIVE, checkout, 'fuse-native'));
  if (options.versus !== undefined)
    systems.push(shadowfs('versus', resolve(options.versus), 'kernel'));
  return systems;
}

export function rolesOf(systems: readonly System[]): Roles {
  const having = (role: System['role']): string[] =>
    systems.filter((system) => system.role === role).map(({ name }) => name);
  return { disk: ext4.name, kernel: having('kernel'), peers: having('peer'), own: having('own') };
}

function wantedStages(only: readonly string[] | undefined): Stage[] {
  if (only === undefined || only.includes('all')) return [...STAGES];
  return STAGES.map((stage) => ({
    ...stage,
    workloads: stage.workloads.filter(
      ({ name }) => only.includes(name) || only.includes(stage.name),
    ),
  })).filter(({ workloads }) => workloads.length > 0);
}

export async function measure(run: Run, only: readonly string[] | undefined): Promise<Found> {
  const { image, options, systems, material, say } = run;
  const { files, changes, isQuick, rounds } = options;
  const stages = wantedStages(only);
  const { rows, ...rest } = await compareSystems({
    image,
    systems,
    stages,
    material,
    rounds,
    say,
  });
  const found: Found = { compared: rows, own: [], sections: [], ...rest };
  const system = systems.find((one) => one instanceof Shadowfs);
  if (system === undefined) return found;
  for (const set of FIGURES) {
    const isWanted = (name: string): boolean =>
      only !== undefined && (only.includes(name) || only.includes('all'));
    const wanted = new Set(set.names.filter(isWanted));
    if (wanted.size === 0) continue;
    const context = { image, system, isQuick, files, changes, say };
    const figures = await set.measure(context, wanted);
    found.own.push(...figures.rows);
    found.sections.push(...figures.sections);
  }
  return found;
}

/** Measures again what is worse than it was recorded: what is worse again. */
export async function guard(
  run: Run,
  found: Found,
  recorded: ReadonlyMap<string, RecordedRow>,
): Promise<Worse[]> {
  const first = worseThan([...found.compared, ...found.own], recorded, run.roles);
  if (first.length === 0) return [];
  for (const worse of first) run.say(`suspicious, measured again: ${worseText(worse)}`);
  const rows = new Set(first.map(({ row }) => row));
  const workloads = STAGES.flatMap((stage) => stage.workloads)
    .filter((workload) => workload.rows.some(({ name }) => rows.has(name)))
    .map(({ name }) => name);
  const figures = KNOWN.figures.filter((name) =>
    [...rows].some((row) => row === name || row.startsWith(`${name}-`)),
  );
  const again = await measure(run, [...workloads, ...figures]);
  return worseTwice(first, worseThan([...again.compared, ...again.own], recorded, run.roles));
}
