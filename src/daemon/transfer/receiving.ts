/**
 * Opens the volume that receives streams, and makes it when there is none. It
 * must not be mounted.
 */
import { realClock } from '../../lib/clock.js';
import { CommandError } from '../../lib/errors.js';
import type { StreamHeader } from '../../format/wire/stream.js';
import { isVolume, makeVolumeDirectory } from '../../store/open.js';
import { acquireOwner, type Owner } from '../../store/owner.js';
import { type ReceiveOptions, Receiver } from '../../sync/stream/receiver.js';
import { resumeToken } from '../../sync/stream/receiving.js';
import { createVolume } from '../../volume/create-volume.js';
import { DEFAULT_OPTIONS } from '../../volume/options.js';
import { Volume } from '../../volume/volume.js';

export class ReceivingVolume {
  #owner: Owner | undefined;
  #volume: Volume | undefined;
  #isNew = false;

  constructor(
    readonly path: string,
    readonly who: { uid: number; gid: number },
  ) {}

  /** Throws CommandError: `volume-in-use` names the mount. */
  receiver(header: StreamHeader, options: ReceiveOptions): Receiver {
    this.#volume ??= this.#open(header);
    return new Receiver(this.#volume, options);
  }

  #open(header: StreamHeader | undefined): Volume {
    const { path } = this;
    if (header === undefined && !isVolume(path)) throw missing(path);
    if (header !== undefined && header.from !== null && !isVolume(path)) {
      throw new CommandError(
        'base-snapshot-missing',
        'ENOENT',
        `the stream starts from the snapshot ${header.from.name}, and there is no volume at ` +
          `${path} yet: send a snapshot in full first`,
      );
    }
    this.#makeAndOwn();
    if (!isVolume(path) && header !== undefined) {
      const { blockSize, compression } = header;
      const options = { ...DEFAULT_OPTIONS, blockSize, compression };
      this.#isNew = true;
      createVolume({ path, options, clock: realClock(), ...this.who });
    }
    try {
      return Volume.open({ path, writer: { kind: 'inline' } });
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== 'base-mismatch') throw error;
      throw new CommandError(
        'receive-over-base',
        'EINVAL',
        `${path}: a volume with a base directory must be mounted to receive`,
      );
    }
  }

  #makeAndOwn(): void {
    makeVolumeDirectory(this.path);
    this.#owner = acquireOwner(this.path);
  }

  /** The token of the stream that was interrupted here. */
  token(): string | undefined {
    this.#volume ??= this.#open(undefined);
    return resumeToken(this.#volume);
  }

  /** What the list of volumes shows of it; undefined: it was not opened. */
  facts(): { uuid: string; snapshots: number; isNew: boolean } | undefined {
    const volume = this.#volume;
    if (volume === undefined) return undefined;
    return { uuid: volume.uuid, snapshots: volume.snapshots().length, isNew: this.#isNew };
  }

  close(): void {
    this.#volume?.close();
    this.#volume = undefined;
    this.#owner?.release();
    this.#owner = undefined;
  }
}

function missing(path: string): CommandError {
  return new CommandError('volume-missing', 'ENOENT', `there is no volume at ${path}`);
}
