/**
 * What a merge does to our tree, and what stands in its way (format.md, rules
 * M1–M6). Their side's changes since the common state are brought in file by
 * file; what both sides changed is a conflict. A file whose conflict is to be
 * resolved in our favour is *dropped*: it stays as we have it, and with it
 * whatever can't be without it.
 */
import type { Work } from '../../lib/work.js';
import type { Inode, LinkName } from '../inode.js';
import { Entities, type Entity, type Name } from './entities.js';
import { type FieldConflict, isChanged, mergeFields } from './fields.js';
import type { ThreeViews } from './three-views.js';

export type ConflictReason =
  | FieldConflict
  /** Removed here, changed there. */
  | 'removed-here'
  /** Changed or renamed here, removed there. */
  | 'removed-there'
  /** Renamed to different places. */
  | 'renamed'
  /** Two files of one name. */
  | 'same-name'
  /** Put there into a directory that is removed here. */
  | 'directory-removed-here'
  /** The directory is removed there; here something in it is new or changed. */
  | 'directory-removed-there'
  /** Two directories were moved below each other. */
  | 'cycle';

export interface Conflict {
  entity: Entity;
  reasons: ConflictReason[];
}

/** A name of our tree that is taken away or given. */
export interface NameChange {
  entity: Entity;
  /** Our number; 0: a directory that is new, too: `parent`. */
  directory: number;
  parent: Entity | undefined;
  name: string;
}

const SLICE = 16;
/** Deeper than any path Linux allows. */
const MAX_DEPTH = 4096;

export class MergePlan {
  readonly entities: Entities;
  /** Those of the first look: what a person has to decide. */
  readonly conflicts: Conflict[] = [];
  losses: NameChange[] = [];
  gains: NameChange[] = [];
  readonly #found = new Map<Entity, Set<ConflictReason>>();

  constructor(readonly trees: ThreeViews) {
    this.entities = new Entities(trees);
  }

  *make(): Work<void> {
    yield* this.entities.collect();
    let count = 0;
    for (const entity of this.entities.all.values()) {
      this.#meet(entity);
      if (++count % SLICE === 0) yield undefined;
    }
    for (const entity of this.entities.all.values()) {
      this.#judge(entity);
      if (++count % SLICE === 0) yield undefined;
    }
    yield* this.#look();
    for (const [entity, reasons] of this.#found) {
      this.conflicts.push({ entity, reasons: [...reasons] });
    }
  }

  /** Everything in conflict stays as it is here, and what depends on that, too. */
  *dropConflicts(): Work<void> {
    while (this.#found.size > 0) {
      for (const entity of this.#found.keys()) entity.isDropped = true;
      this.#found.clear();
      yield* this.#look();
    }
  }

  /** The conflict about the bytes is settled by this file of bytes; the rest of it remains. */
  settleText(conflict: Conflict, path: string): void {
    conflict.entity.text = path;
    conflict.reasons = conflict.reasons.filter((reason) => reason !== 'content');
    if (conflict.reasons.length === 0) this.#found.delete(conflict.entity);
  }

  #conflict(entity: Entity, reason: ConflictReason): void {
    const known = this.#found.get(entity);
    if (known === undefined) this.#found.set(entity, new Set([reason]));
    else known.add(reason);
  }

  #meet(entity: Entity): void {
    const { trees } = this;
    const number = trees.counterpart(entity.before?.ino ?? entity.ino);
    entity.ours = number === 0 ? undefined : trees.inode('ours', number);
  }

  /** What can be said of the file by itself. */
  #judge(entity: Entity): void {
    const { before, theirs, ours } = entity;
    if (before !== undefined && theirs === undefined) this.#judgeRemoved(entity, before);
    else if (before !== undefined && theirs !== undefined) {
      if (ours === undefined) this.#judgeRemovedHere(entity, before, theirs);
      else this.#judgeChanged(entity, before, theirs, ours);
    }
    // Made on both sides; a directory's own attributes stay ours.
    else if (ours !== undefined) entity.isNew = false;
  }

  #judgeRemoved(entity: Entity, before: Inode): void {
    const { ours } = entity;
    if (ours === undefined) return;
    const lost = entity.lost.filter((name) => this.#leadsHere(name, ours)).length;
    const left = ours.isDirectory ? 1 - lost : ours.nlink - lost;
    const details = this.trees.differences('base', before, 'ours', ours);
    if (left > 0 || isChanged(details)) this.#conflict(entity, 'removed-there');
  }

  #judgeRemovedHere(entity: Entity, before: Inode, theirs: Inode): void {
    const details = this.trees.differences('base', before, 'theirs', theirs);
    if (entity.gained.length > 0 || isChanged(details)) this.#conflict(entity, 'removed-here');
  }

  #judgeChanged(entity: Entity, before: Inode, theirs: Inode, ours: Inode): void {
    const merged = mergeFields(this.trees, { before, theirs, ours });
    entity.taken = merged?.taken;
    for (const field of merged?.conflicts ?? []) this.#conflict(entity, field);
    if (this.#isRenamedApart(entity, before, ours)) this.#conflict(entity, 'renamed');
    // Each side has taken away another one of its names.
    const lost = entity.lost.filter((name) => this.#leadsHere(name, ours)).length;
    if (entity.gained.length === 0 && !ours.isDirectory && lost >= ours.nlink) {
      this.#conflict(entity, 'removed-here');
    }
  }

  /** Both sides took a name away, and ours gave another one that theirs did not give. */
  #isRenamedApart(entity: Entity, before: Inode, ours: Inode): boolean {
    if (entity.lost.every((name) => this.#leadsHere(name, ours))) return false;
    const { trees } = this;
    const known = new Set<string>();
    for (const { parent, name } of trees.names(before)) {
      known.add(`${trees.counterpart(parent)}/${name}`);
    }
    for (const { directory, name } of entity.gained) {
      known.add(`${trees.counterpart(directory)}/${name}`);
    }
    return trees.names(ours).some(({ parent, name }) => !known.has(`${parent}/${name}`));
  }

  #leadsHere({ directory, name }: Name, ours: Inode): boolean {
    const here = this.trees.counterpart(directory);
    return here !== 0 && this.trees.child('ours', here, name) === ours.ino;
  }

  /** Whether the merged names make a tree. Finds the conflicts of those that don't. */
  *#look(): Work<void> {
    this.#makeNames();
    yield undefined;
    const lost = new Map(this.losses.map((loss) => [placeOf(loss), loss.entity]));
    const taken = new Map<string, Entity>();
    let count = 0;
    for (const gain of this.gains) {
      this.#checkGain(gain, lost, taken);
      if (++count % SLICE === 0) yield undefined;
    }
    for (const entity of this.entities.all.values()) {
      if (this.#goes(entity) && entity.ours?.isDirectory === true) {
        yield* this.#checkEmptied(entity, entity.ours, lost);
      }
      if (++count % SLICE === 0) yield undefined;
    }
    yield* this.#checkCycles();
  }

  /** It is removed from our tree. */
  #goes({ isRemoved, isDropped, ours }: Entity): boolean {
    return isRemoved && !isDropped && ours !== undefined;
  }

  #makeNames(): void {
    this.losses = [];
    this.gains = [];
    for (const entity of this.entities.all.values()) {
      const { ours, isDropped, lost, gained, isNew } = entity;
      if (isDropped || (ours === undefined && !isNew)) continue;
      for (const { directory, name } of lost) {
        const here = this.trees.counterpart(directory);
        if (ours === undefined || here === 0) continue;
        if (this.trees.child('ours', here, name) !== ours.ino) continue;
        this.losses.push({ entity, directory: here, parent: undefined, name });
      }
      for (const { directory, name } of gained) {
        const here = this.trees.counterpart(directory);
        const isThere = here !== 0 && ours !== undefined;
        if (isThere && this.trees.child('ours', here, name) === ours.ino) continue;
        const parent = this.entities.all.get(directory);
        this.gains.push({ entity, directory: here, parent, name });
      }
    }
  }

  #checkGain(gain: NameChange, lost: Map<string, Entity>, taken: Map<string, Entity>): void {
    const { entity, directory, parent, name } = gain;
    if (directory === 0) {
      const isMade = parent?.isNew === true && !parent.isDropped;
      if (!isMade) this.#conflict(entity, 'directory-removed-here');
      return;
    }
    const place = placeOf(gain);
    const other = taken.get(place);
    const here = this.trees.child('ours', directory, name);
    if ((here !== 0 && !lost.has(place)) || (other !== undefined && other !== entity)) {
      this.#conflict(entity, 'same-name');
      // What their side had there before was replaced by it: it stays, too.
      const replaced = lost.get(place);
      if (replaced !== undefined) this.#conflict(replaced, 'same-name');
      return;
    }
    taken.set(place, entity);
  }

  *#checkEmptied(entity: Entity, ours: Inode, lost: Map<string, Entity>): Work<void> {
    const { volume, views } = this.trees;
    let isEmpty = true;
    volume.list(views.ours, ours, 0, (name) => {
      isEmpty = lost.has(`${ours.ino}/${name}`);
      return isEmpty;
    });
    if (!isEmpty) this.#conflict(entity, 'directory-removed-there');
    yield undefined;
  }

  /** Of every directory that was moved, up to the root, as the names will be. */
  *#checkCycles(): Work<void> {
    const moved = new Map<Entity | number, NameChange>();
    for (const gain of this.gains) {
      const { ours, theirs } = gain.entity;
      if (theirs?.isDirectory !== true) continue;
      moved.set(ours?.ino ?? gain.entity, gain);
    }
    for (const gain of moved.values()) {
      if (this.#isInItself(gain, moved)) this.#conflict(gain.entity, 'cycle');
      yield undefined;
    }
  }

  #isInItself(start: NameChange, moved: Map<Entity | number, NameChange>): boolean {
    const self = start.entity.ours?.ino ?? start.entity;
    let at: Entity | number | undefined = above(start);
    for (let depth = 0; at !== undefined && depth < MAX_DEPTH; depth++) {
      if (at === self) return true;
      const gain = moved.get(at);
      at =
        gain !== undefined ? above(gain) : typeof at === 'number' ? this.#parentOf(at) : undefined;
    }
    return at !== undefined;
  }

  #parentOf(ino: number): number | undefined {
    const inode = this.trees.inode('ours', ino);
    const [name]: readonly LinkName[] = inode === undefined ? [] : this.trees.names(inode);
    return name?.parent;
  }
}

function placeOf({ directory, name }: NameChange): string {
  return `${directory}/${name}`;
}

function above({ directory, parent }: NameChange): Entity | number | undefined {
  return directory === 0 ? parent : directory;
}
