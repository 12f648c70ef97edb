/** Applies of a fixture's volume to its base, in one process. */
import { Deferred } from '../../../src/lib/deferred.js';
import { type Work, workNow } from '../../../src/lib/work.js';
import { type ApplyHost, type ApplyOutcome, applyLayer } from '../../../src/volume/apply/apply.js';
import type { VolumeFixture } from './volume-fixture.js';

export function hostOf(fixture: VolumeFixture): ApplyHost {
  const settled = (): Deferred<void> => {
    const done = new Deferred<void>();
    fixture.volume.pump();
    done.resolve();
    return done;
  };
  return {
    pause: settled,
    flush: settled,
    flushFile: settled,
    rights: { uid: process.getuid?.() ?? 0, groups: new Set(process.getgroups?.() ?? []) },
    volumePath: fixture.path,
    onProgress: () => undefined,
  };
}

export function applying(
  fixture: VolumeFixture,
  paths: readonly string[] = [],
): Work<ApplyOutcome> {
  const layer = fixture.volume.applied.seal();
  fixture.flush();
  // The fixture's clock is not that of the base's files.
  const request = { paths, ours: true, source: 'test' };
  return applyLayer(fixture.volume, layer, request, hostOf(fixture));
}

export function applyAll(fixture: VolumeFixture, paths: readonly string[] = []): ApplyOutcome {
  const outcome = workNow(applying(fixture, paths), () => fixture.flush());
  fixture.flush();
  return outcome;
}
