/** All stages, in the order in which they run. */
import { dataStage } from './data.js';
import { namesStage } from './names.js';
import { baseStages } from './over-base.js';
import { gitStage, modulesStage, npmStage, sqliteStage } from './programs.js';
import { treeStage } from './tree.js';
import type { Stage } from './workload.js';

export const STAGES: readonly Stage[] = [
  treeStage,
  namesStage,
  dataStage,
  gitStage,
  npmStage,
  sqliteStage,
  modulesStage,
  ...baseStages,
];
