/**
 * V8's memory limits for each thread of the process that serves a mount
 * (native-notes/memory.md has the whole table).
 *
 * V8's own default lets every thread keep 48 MB for young objects, and lets the
 * old ones grow to four times what is in use before it collects them. `young`
 * is three semi-spaces. `old` is not a working limit, since a thread that
 * reaches it ends. It is far above the needs of the bounded caches, and low
 * enough that V8 lets garbage grow by only about half.
 */
import type { ResourceLimits } from 'node:worker_threads';

/** Serves requests; holds the caches and the changes not stored yet. */
export const SERVING_LIMITS: ResourceLimits = {
  maxYoungGenerationSizeMb: 12,
  maxOldGenerationSizeMb: 512,
};

/** Stores txgs and collects garbage in small slices. */
export const WRITING_LIMITS: ResourceLimits = {
  maxYoungGenerationSizeMb: 6,
  maxOldGenerationSizeMb: 512,
};

/** Waits for the kernel or a disk on behalf of another thread. */
export const HELPER_LIMITS: ResourceLimits = {
  maxYoungGenerationSizeMb: 3,
  maxOldGenerationSizeMb: 256,
};

/** Holds the connections to peers; frames are mostly buffers outside V8's heap. */
export const SYNC_LIMITS: ResourceLimits = {
  maxYoungGenerationSizeMb: 6,
  maxOldGenerationSizeMb: 256,
};

/**
 * Checks or inspects a volume beside the other threads: its maps grow with
 * directories and hard links.
 */
export const INSPECT_LIMITS: ResourceLimits = {
  maxYoungGenerationSizeMb: 6,
  maxOldGenerationSizeMb: 1024,
};
