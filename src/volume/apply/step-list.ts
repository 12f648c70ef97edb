/**
 * From the plan to the steps of the journal, in the order of the plan. One after
 * the other: nobody holds them all. Everything new is staged.
 */
import { ROOT_INODE } from '../../format/records/tables.js';
import type { BaseWriter } from '../../base/writing/base-writer.js';
import type { Volume } from '../volume.js';
import type { View } from '../view.js';
import type { Final, Relocation, Step } from './journal.js';
import type { ApplyPlan } from './plan.js';
import type { Slots } from './slots.js';
import { attributesOf, plainAttributes } from './staging.js';

/** In one step. */
const FINALS_MAX = 32;
const RELOCATED_MAX = 1024;

export interface StepSources {
  volume: Volume;
  view: View;
  writer: BaseWriter;
  slots: Slots;
  plan: ApplyPlan;
  /** The hidden directory in the base. */
  staging: string;
  /** Files and directories that stay in the base, and that views read from there. */
  kept: ReadonlySet<number>;
  /** Directory that moves → files in it that have records, itself included. */
  records: ReadonlyMap<number, readonly number[]>;
}

/** A name of a kept file in the tree. */
function nameOf({ volume, view, plan }: StepSources, ino: number): string | undefined {
  if (ino === ROOT_INODE) return '';
  return volume.paths.of(view, ino) ?? plan.found.get(ino);
}

export function* stepsOf(sources: StepSources): Generator<Step> {
  const { plan, kept } = sources;
  /** Kept files whose place the steps do not say, or not last. */
  const left = new Set(kept);
  const final = (ino: number, path: string): { finals?: Final[] } => {
    if (!kept.has(ino)) return {};
    left.delete(ino);
    return { finals: [{ ino, path }] };
  };
  yield* movingSteps(sources, final);
  yield* droppingSteps(sources, final);
  yield* attributeSteps(sources, final);
  // Steps for other names of a file have changed its ctime since its own.
  for (const { ino } of plan.links) if (kept.has(ino)) left.add(ino);
  let finals: Final[] = [];
  for (const ino of kept) {
    if (!left.has(ino) && !hasNames(sources, ino)) continue;
    const path = nameOf(sources, ino);
    if (path === undefined || sources.slots.after(ino) === undefined) continue;
    finals.push({ ino, path });
    if (finals.length < FINALS_MAX) continue;
    yield { do: 'note', finals };
    finals = [];
  }
  if (finals.length > 0) yield { do: 'note', finals };
}

function hasNames({ slots }: StepSources, ino: number): boolean {
  return [slots.before(ino), slots.after(ino)].some(
    (inode) => inode !== undefined && !inode.isDirectory && inode.nlink > 1,
  );
}

type FinalOf = (ino: number, path: string) => { finals?: Final[] };

function* movingSteps(sources: StepSources, final: FinalOf): Generator<Step> {
  const { plan, writer, staging } = sources;
  let trash = 0;
  const trashName = (): string => `${staging}/t${trash++}`;
  const hostOf = (path: string): number => writer.lstat(path)?.hostInode ?? 0;
  for (const { ino, from, to } of plan.links) {
    yield { do: 'link', from, to, host: hostOf(from), ...final(ino, from) };
  }
  for (const { ino, from, to } of plan.out) {
    const move = { from, to, host: hostOf(from), trash: trashName() };
    yield* moved(sources, ino, { do: 'move', ...move, ...final(ino, to) });
  }
  // What is linked or waits gets its host inode from where it is before.
  const before = new Map([...plan.links, ...plan.out].map(({ from, to }) => [to, from]));
  for (const placements of [plan.direct, plan.placements]) {
    for (const { ino, from, to } of placements) {
      const move = { from, to, host: hostOf(before.get(from) ?? from), trash: trashName() };
      yield* moved(sources, ino, { do: 'move', ...move, ...final(ino, to) });
    }
  }
}

/** With the records below it, in as many steps as they need. */
function* moved(
  { records }: StepSources,
  ino: number,
  step: Extract<Step, { do: 'move' }>,
): Generator<Step> {
  const inos = records.get(ino) ?? [];
  const { from, to } = step;
  for (let at = 0; at === 0 || at < inos.length; at += RELOCATED_MAX) {
    const end = at + RELOCATED_MAX;
    const relocation: Relocation = { inos: inos.slice(at, end), from, to };
    if (end < inos.length) relocation.goesOn = true;
    // Files of which no record knows have moved, too.
    const effect = records.has(ino) ? { relocation } : {};
    yield at === 0 ? { ...step, ...effect } : { do: 'note', ...effect };
  }
}

function* droppingSteps(sources: StepSources, final: FinalOf): Generator<Step> {
  const { plan, writer, staging } = sources;
  let trash = 0;
  for (const { slot, path } of plan.drops) {
    const { beforePath, before } = slot;
    const { ino } = before as { ino: number };
    const other = nameOf(sources, ino);
    yield {
      do: 'drop',
      path,
      host: writer.lstat(beforePath as string)?.hostInode ?? 0,
      trash: `${staging}/d${trash++}`,
      ...(other !== undefined && final(ino, other)),
    };
  }
}

function* attributeSteps(sources: StepSources, final: FinalOf): Generator<Step> {
  const { plan, volume, view } = sources;
  for (const { ino, path, inode, isOnlyTimes } of plan.attributes) {
    const { xattrs, ...rest } = isOnlyTimes
      ? { ...plainAttributes(inode), xattrs: undefined }
      : attributesOf(volume, view, inode);
    yield {
      do: 'attributes',
      path,
      ...rest,
      ...(xattrs !== undefined && {
        xattrs: xattrs.map(([name, value]): [string, string] => [
          name,
          Buffer.from(value).toString('latin1'),
        ]),
      }),
      ...final(ino, path),
    };
  }
}
