/** Which of the file systems work on this machine: each is tried, and what fails is named. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from './image.js';
import type { System } from './systems/system.js';

const TEXT = 'written, and read after another mount\n';

function tryOne(image: Image, system: System): void {
  system.start?.(image);
  const data = join(system.disk ?? image.disk, 'trial');
  const place = { data, mountpoint: join(image.directory, 'mounts', system.name) };
  mkdirSync(place.mountpoint, { recursive: true });
  const write = join(system.mount(place), 'trial');
  writeFileSync(write, TEXT);
  system.unmount(place);
  const read = join(system.mount(place), 'trial');
  const found = readFileSync(read, 'utf8');
  system.unmount(place);
  if (found !== TEXT) throw new Error('what was written is not there after another mount');
  rmSync(data, { recursive: true });
}

export function usableSystems(
  image: Image,
  all: readonly System[],
): { usable: System[]; leftOut: string[] } {
  const usable: System[] = [];
  const leftOut: string[] = [];
  for (const system of all) {
    try {
      tryOne(image, system);
      usable.push(system);
    } catch (error) {
      const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
      leftOut.push(`${system.name}: ${reason}`);
    }
  }
  return { usable, leftOut };
}
