/**
 * Who a volume is among the volumes that hold the same history: which history
 * that is, and from which allocator it takes the numbers of its new inodes
 * (rule D6).
 *
 * The volume in which a history began uses allocator 2. Every volume that was
 * made by receiving draws an allocator that no volume it has heard of uses.
 * Every stream carries all the allocators that its sender has heard of.
 */
import { ALLOCATOR, FIRST_DRAWN_ALLOCATOR, MAX_ALLOCATOR } from '../../format/records/tables.js';

export interface Identity {
  /** UUID of the volume in which the history began. */
  history: string;
  /** For new inodes of this volume. */
  allocator: number;
  /** Allocator → UUID of the volume that uses it, as far as it is known here. */
  allocators: Record<string, string>;
}

/** The identity of a volume that was not made by receiving. */
export function ownIdentity(uuid: string): Identity {
  return {
    history: uuid,
    allocator: ALLOCATOR.local,
    allocators: { [ALLOCATOR.local]: uuid },
  };
}

/** An allocator that is not `taken`; `random` gives numbers in [0, 1). */
export function drawAllocator(
  taken: Readonly<Record<string, string>>,
  random: () => number,
): number {
  const count = MAX_ALLOCATOR - FIRST_DRAWN_ALLOCATOR + 1;
  const first = Math.floor(random() * count);
  for (let i = 0; i < count; i++) {
    const allocator = FIRST_DRAWN_ALLOCATOR + ((first + i) % count);
    if (taken[allocator] === undefined) return allocator;
  }
  return FIRST_DRAWN_ALLOCATOR + first;
}

/**
 * What is known after hearing of `heard`. If another volume also uses this one's allocator, draws a
 * new one before this volume gives out another number.
 */
export function mergeAllocators(
  identity: Identity,
  uuid: string,
  heard: Readonly<Record<string, string>>,
  random: () => number,
): Identity {
  const { history, allocator } = identity;
  const allocators = { ...identity.allocators, ...heard };
  if (allocators[allocator] === uuid) return { history, allocator, allocators };
  const drawn = drawAllocator(allocators, random);
  allocators[drawn] = uuid;
  return { history, allocator: drawn, allocators };
}
