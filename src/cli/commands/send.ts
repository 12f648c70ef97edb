/** `shadowfs send [-i A] SNAPSHOT > file` */
import { once } from 'node:events';
import type { Command } from 'commander';
import { CommandError } from '../../lib/errors.js';
import { LATEST_NAME } from '../../format/text/grammar.js';
import type { SendSource } from '../../daemon/transfer/sending.js';
import type { Snapshot } from '../../volume/catalog.js';
import type { SendRequest } from '../../sync/stream/sender.js';
import type { Volume } from '../../volume/volume.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import {
  counted,
  EXIT_FAILURE,
  printable,
  printJson,
  printLine,
  warn,
  wrongUsage,
} from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { Progress } from '../progress.js';
import { findTarget, type Target } from '../target.js';

interface SendOptions extends CommonOptions {
  from?: string;
  dryRun?: boolean;
  resume?: string;
}

export function addSend(program: Command): void {
  withTarget(
    program
      .command('send [snapshot]')
      .summary('write a snapshot to standard output')
      .description('write SNAPSHOT to standard output, for shadowfs receive')
      .option('-i, --from <snapshot>', 'only what has changed since this snapshot')
      .option('-n, --dry-run', 'only print an upper limit of its size')
      .option('--resume <token>', 'continue an interrupted receive, which prints the token'),
    'shadowfs send -i monday tuesday | ssh backup shadowfs receive /srv/project.volume',
  ).action(
    action(async (name: string | undefined, options: SendOptions) => {
      const { openForSending } = await import('../../daemon/transfer/sending.js');
      const volume = openForSending(await placeOf(await findTarget(options)));
      try {
        const request = await requestFor(volume, name, options);
        if (options.dryRun === true) await tellEstimate(volume, request, options);
        else await send(volume, request);
      } finally {
        volume.close();
      }
    }),
  );
}

async function placeOf(target: Target): Promise<SendSource> {
  if (target.kind === 'volume') return { volume: target.volume };
  const { mountpoint } = target.mount;
  const { pid, volumePath, inPlace } = await target.control.state('status');
  return {
    volume: String(volumePath),
    mounted: { pid: Number(pid), mountpoint, inPlace: inPlace === true },
  };
}

/** Loaded only when needed: other commands start faster without it. */
const loadSender = async () => await import('../../sync/stream/sender.js');

async function requestFor(
  volume: Volume,
  name: string | undefined,
  options: SendOptions,
): Promise<SendRequest> {
  if (options.resume !== undefined) {
    const { decodeToken, requestOfToken } = await loadSender();
    return requestOfToken(volume, decodeToken(options.resume));
  }
  if (name === undefined) {
    throw wrongUsage('which snapshot is to be sent?');
  }
  const { from } = options;
  return {
    to: snapshotOf(volume, name),
    ...(from !== undefined && { from: snapshotOf(volume, from) }),
  };
}

function snapshotOf(volume: Volume, name: string): Snapshot {
  const latest = name === LATEST_NAME ? volume.latest() : undefined;
  return latest ?? volume.requireSnapshot(name);
}

async function tellEstimate(
  volume: Volume,
  request: SendRequest,
  options: SendOptions,
): Promise<void> {
  const { estimate } = await loadSender();
  const { records, bytes } = estimate(volume, request);
  const from = request.from?.name ?? null;
  if (options.json)
    printJson({
      ok: true,
      command: 'send',
      name: request.to.name,
      from,
      recordCount: records,
      sizeBytes: bytes,
    });
  else {
    const what = from === null ? 'in full' : `from ${printable(from)}`;
    printLine(
      `${printable(request.to.name)} ${what}: at most ${formatBytes(bytes)} in ${counted(records, 'record')}`,
    );
  }
}

async function send(volume: Volume, request: SendRequest): Promise<void> {
  const { estimate, sendStream } = await loadSender();
  const { stdout } = process;
  if (stdout.isTTY) {
    throw new CommandError(
      'stream-to-terminal',
      'EINVAL',
      'a stream is not for a terminal: send it to a file or a pipe (-n prints its size)',
    );
  }
  stdout.prependListener('error', (error: NodeJS.ErrnoException) => {
    warn(error.code === 'EPIPE' ? 'nobody reads the stream any more' : error.message);
    process.exit(EXIT_FAILURE);
  });
  const progress = new Progress('send', 'bytes');
  const total = process.stderr.isTTY ? estimate(volume, request).bytes : 0;
  let done = 0;
  try {
    for (const frame of sendStream(volume, request)) {
      if (!stdout.write(frame)) await once(stdout, 'drain');
      done += frame.length;
      progress.update(done, total);
    }
  } finally {
    progress.stop();
  }
}
