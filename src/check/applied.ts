/**
 * Checks what an apply leaves behind: `meta/applied`, the base layer, and the
 * journal beside the volume (format.md, rules A7–A10). The cost is proportional
 * to the base layer.
 */
import { isCount, isFields, isListOf, isText } from '../lib/fields.js';
import { decodeInode } from '../format/records/inode-record.js';
import {
  decodeDeltaKey,
  deltaPrefix,
  filesetOf,
  inodeKey,
  inodeOf,
  prefixEnd,
  versionedKey,
} from '../format/records/keys.js';
import {
  BASE_LAYER,
  isBaseNumber,
  MAX_STEP,
  ROOT_FILESET,
  TABLE,
} from '../format/records/tables.js';
import { formatUse } from '../format/records/volume-format.js';
import type { StoreReader } from '../store/reader.js';
import { JOURNAL_FILE, stagingName } from '../volume/apply/journal.js';
import { type OpenJournal, openJournal } from '../volume/apply/journal-file.js';
import { readMeta } from '../volume/catalog.js';
import { Inode } from '../volume/inode.js';
import type { CheckedCatalog } from './catalog.js';
import { describe } from './records.js';
import type { CheckState } from './report.js';

const MAX_PATH = 65_535;
const STEPS = new Set(['link', 'move', 'drop', 'attributes', 'note']);
/** They say which object they are about. */
const OF_OBJECTS = new Set(['link', 'move', 'drop']);

/** Below a directory: no way leads out of it. */
function isInside(path: unknown): path is string {
  if (!isText(path, MAX_PATH)) return false;
  return path === '' || path.split('/').every((name) => !['', '.', '..'].includes(name));
}

export function checkApplied(
  reader: StoreReader,
  state: CheckState,
  catalog: CheckedCatalog,
  volumePath: string,
): void {
  const records = deltaPrefix(BASE_LAYER);
  const hasRecords = reader.seek(TABLE.delta, records, prefixEnd(records)) !== undefined;
  const applied = readMeta<unknown>(reader, 'applied');
  if (hasRecords || applied !== undefined) checkFormat(reader, state);
  if (applied !== undefined) checkParts(applied, state, catalog, 'A8', 'meta/applied');
  if (hasRecords) state.guard('A9', 'the base layer', () => checkRecords(reader, state));
  checkJournal(reader, state, catalog, volumePath);
}

function checkFormat(reader: StoreReader, state: CheckState): void {
  if (formatUse(readMeta(reader, 'format'))?.isApplied === true) return;
  state.add('A7', 'the format does not say that something was applied', 'meta/format');
}

/** Layers at which the base was made equal, of the whole tree first. */
function checkParts(
  parts: unknown,
  state: CheckState,
  { layers }: CheckedCatalog,
  rule: string,
  where: string,
): void {
  const isPart = (part: unknown): boolean =>
    isFields(part) && isInside(part['path']) && isCount(part['layer']);
  if (!isListOf(parts, isPart)) {
    state.add(rule, 'it is not a list of paths and layers', where);
    return;
  }
  for (const [i, { path, layer }] of (parts as { path: string; layer: number }[]).entries()) {
    const found = layers.get(layer);
    if (path === '' && i > 0) state.add(rule, 'the whole tree comes after a part', where);
    if (found === undefined) state.add(rule, `the layer ${layer} does not exist`, where);
    else if (found.state === 'open' || found.state === 'staging') {
      state.add(rule, `the layer ${layer} is ${found.state}`, where);
    }
  }
}

/** The base layer has records of base files only, and each belongs to an inode that it has. */
function checkRecords(reader: StoreReader, state: CheckState): void {
  const prefix = deltaPrefix(BASE_LAYER);
  let known = 0;
  for (const { key } of reader.range(TABLE.delta, prefix, prefixEnd(prefix), { keysOnly: true })) {
    const { table, place } = decodeDeltaKey(key);
    const ino = inodeOf(place);
    const bad = (what: string): void => state.add('A9', what, describe(table, place, BASE_LAYER));
    if (table === TABLE.inodes) {
      const value = reader.get(TABLE.inodes, inodeKey(filesetOf(place), ino, BASE_LAYER));
      const problem = value === undefined ? undefined : recordProblem(ino, Buffer.from(value));
      if (problem !== undefined) bad(problem);
      continue;
    }
    if (table === TABLE.orphans) bad('the base has no orphans');
    if (ino !== known && !reader.has(TABLE.inodes, inodeKey(filesetOf(place), ino, BASE_LAYER))) {
      bad('its inode has no record in the base layer');
    }
    known = ino;
    if (table !== TABLE.blocks) continue;
    const start = versionedKey(TABLE.blocks, place, BASE_LAYER, MAX_STEP);
    if (reader.seek(TABLE.blocks, start, prefixEnd(place))?.value[0] === 0) bad('it is a hole');
  }
}

function recordProblem(ino: number, value: Buffer): string | undefined {
  const inode = new Inode(ino);
  try {
    if (!decodeInode(value, inode, () => 'inode')) return 'the base has nothing that is gone';
  } catch {
    // `records.ts` reports it.
    return undefined;
  }
  const { base, clips, birthLayer } = inode;
  if (!isBaseNumber(ino)) return 'the number is not that of a base file';
  if (base === undefined) return 'it does not say where the base has it';
  if (clips.length > 0 || birthLayer !== BASE_LAYER) return 'it was written to';
  if (base.isStored === true && base.size > 0) return 'the base has nothing of it, but a size';
  return isInside(base.path) ? undefined : 'its path leads out of the base';
}

/** A journal is whole, and what completing needs is there. */
function checkJournal(
  reader: StoreReader,
  state: CheckState,
  catalog: CheckedCatalog,
  volumePath: string,
): void {
  state.guard('A10', JOURNAL_FILE, () => {
    const journal = openJournal(volumePath);
    if (journal === undefined) return;
    try {
      checkHead(reader, state, catalog, journal.head);
      checkSteps(reader, state, journal);
    } finally {
      journal.close();
    }
  });
}

function checkHead(
  reader: StoreReader,
  state: CheckState,
  catalog: CheckedCatalog,
  head: unknown,
): void {
  const bad = (what: string): void => state.add('A10', what, JOURNAL_FILE);
  if (!isFields(head)) {
    bad('it is not an object');
    return;
  }
  const { state: phase, staging, layer, applied, history } = head;
  if (phase !== 'staging' && phase !== 'switching') bad(`its state is ${String(phase)}`);
  if (staging !== stagingName(uuidOf(reader))) bad(`it is not this volume's: ${String(staging)}`);
  if (!catalog.hasBase) bad('the volume has no base');
  if (!isCount(layer) || !isAppliable(catalog, layer, isFields(head['undoing']))) {
    bad(`the layer ${String(layer)} that is applied is not sealed`);
  }
  if (!isFields(history) || !isFields(head['times'])) bad('it lacks history or times');
  checkParts(applied, state, catalog, 'A10', JOURNAL_FILE);
}

function checkSteps(reader: StoreReader, state: CheckState, journal: OpenJournal): void {
  let count = 0;
  for (const step of journal.steps()) {
    count++;
    const problem = stepProblem(reader, step);
    if (problem !== undefined) state.add('A10', `step ${count}: ${problem}`, JOURNAL_FILE);
  }
  const isUndone = isFields(journal.head) && journal.head['state'] === 'staging';
  if (isUndone && count > 0) {
    state.add('A10', 'nothing may have been done, and it has steps', JOURNAL_FILE);
  }
}

/** The undo of the first apply applies what the base layer shows. */
function isAppliable({ layers }: CheckedCatalog, layer: number, isUndo: boolean): boolean {
  return (isUndo && layer === BASE_LAYER) || layers.get(layer)?.state === 'sealed';
}

function uuidOf(reader: StoreReader): string {
  return readMeta<string>(reader, 'uuid') ?? '';
}

function stepProblem(reader: StoreReader, step: unknown): string | undefined {
  if (!isFields(step) || !STEPS.has(String(step['do']))) return 'nobody knows what to do';
  const paths = ['path', 'from', 'to', 'trash'].filter((name) => step[name] !== undefined);
  if (paths.some((name) => !isInside(step[name]))) return 'a path leads out of the base';
  if (OF_OBJECTS.has(String(step['do'])) && !isCount(step['host']))
    return 'it does not say which file';
  const finals: unknown = step['finals'] ?? [];
  const relocation = step['relocation'];
  const inos: unknown = isFields(relocation) ? relocation['inos'] : [];
  const isFinal = (final: unknown): boolean => isFields(final) && isCount(final['ino']);
  if (!isListOf(finals, isFinal) || !isListOf(inos, isCount)) return 'its inodes are not numbers';
  for (const ino of [
    ...(finals as { ino: number }[]).map((final) => final.ino),
    ...(inos as number[]),
  ]) {
    if (!hasBaseRecord(reader, ino)) return `the base layer has no record of inode ${ino}`;
  }
  return undefined;
}

function hasBaseRecord(reader: StoreReader, ino: number): boolean {
  return reader.has(TABLE.inodes, inodeKey(ROOT_FILESET, ino, BASE_LAYER));
}
