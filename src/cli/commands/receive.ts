/** `shadowfs receive VOLUME < file` */
import { fstatSync } from 'node:fs';
import type { Command } from 'commander';
import { absolutePath } from '../../lib/byte-paths.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import type { StatePaths } from '../../daemon/mount/paths.js';
import type { ReceivingVolume } from '../../daemon/transfer/receiving.js';
import { volumePathOf } from '../../daemon/volumes/registry.js';
import type { ReceiveAnswer, ReceiveOptions } from '../../sync/stream/receiver.js';
import type { StreamReceiver } from '../../sync/stream/receive-stream.js';
import type { ControlClient } from '../control-client.js';
import { onEndSignals } from '../end-signals.js';
import { action, jsonOption, withExamples } from '../options.js';
import { counted, printable, printJson, printLine, warn } from '../output.js';
import { Progress } from '../progress.js';
import { MountedReceiver } from './receive-mounted.js';
import { currentPaths, mountedAt } from '../target.js';

interface ReceiveWords {
  force?: boolean;
  token?: boolean;
  json?: boolean;
}

export function addReceive(program: Command): void {
  withExamples(
    program
      .command('receive <volume>')
      .summary('receive snapshots from standard input into a volume')
      .description(
        'receive snapshots from standard input into a volume, or into the mount on a directory; ' +
          'makes the volume when it is missing',
      )
      .option('--force', 'replace local changes; they are kept as an undo snapshot')
      .option('--token', 'only print the token of a stream that was interrupted')
      .addOption(jsonOption()),
    'shadowfs receive /srv/project.volume < tuesday.stream',
  ).action(
    action(async (path: string, options: ReceiveWords) => {
      const control = await mountedAt(path);
      if (control !== undefined) {
        if (options.token === true) tellToken(await tokenOf(control), options);
        else await outliving(() => receiveMounted(control, path, options));
        return;
      }
      const paths = currentPaths();
      const place = volumePathOf(absolutePath(path));
      const { refuseAbsent } = await import('../../daemon/volumes/find-volume.js');
      // An empty one must not take the place of a volume whose disk is away.
      refuseAbsent(paths, place);
      const who = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
      // Loaded only when needed: other commands start faster without it.
      const { ReceivingVolume } = await import('../../daemon/transfer/receiving.js');
      const volume = new ReceivingVolume(place, who);
      try {
        if (options.token === true) tellToken(volume.token(), options);
        else await outliving(() => receive(volume, options));
      } finally {
        await noteReceived(paths, volume);
        volume.close();
      }
    }),
  );
}

/** Volumes that were received into stand in the list, mounted or not. */
async function noteReceived(paths: StatePaths, volume: ReceivingVolume): Promise<void> {
  const facts = volume.facts();
  if (facts === undefined) return;
  const { registerUse } = await import('../../daemon/volumes/register.js');
  const nothing = { base: null, mountpoint: null, directory: null };
  try {
    registerUse(paths, { ...facts, volume: volume.path, ...nothing });
  } catch (error) {
    warn(messageOf(error));
  }
}

function tellToken(token: string | undefined, options: ReceiveWords): void {
  if (token === undefined) {
    throw new CommandError('nothing-to-resume', 'ENOENT', 'no stream was interrupted here');
  }
  if (options.json) printJson({ ok: true, command: 'receive', resumeToken: token });
  else printLine(token);
}

async function tokenOf(control: ControlClient): Promise<string | undefined> {
  const { resumeToken } = await control.state('status');
  return typeof resumeToken === 'string' ? resumeToken : undefined;
}

function refuseTerminal(): void {
  if (!process.stdin.isTTY) return;
  throw new CommandError(
    'stream-from-terminal',
    'EINVAL',
    'a stream comes from a file or a pipe, not from a terminal',
  );
}

/**
 * Runs `work`; a signal meanwhile ends the input, and this process only when `work` has kept what
 * came and said how it goes on. A second signal ends it at once.
 */
async function outliving(work: () => Promise<void>): Promise<void> {
  let received: NodeJS.Signals | undefined;
  const stop = onEndSignals((signal) => {
    received = signal;
    stop();
    process.stdin.destroy();
  });
  try {
    await work();
  } finally {
    stop();
    if (received !== undefined) {
      const signal = received;
      // Whoever started it, a shell with a loop for example, must see that a signal ended it.
      process.once('exit', () => process.kill(process.pid, signal));
    }
  }
}

/**
 * The input, with a progress bar on a terminal when its size is known. When `outliving` ends it, it
 * ends like any input that is cut off.
 */
async function* input(): AsyncGenerator<Buffer> {
  refuseTerminal();
  const stat = fstatSync(process.stdin.fd);
  const total = stat.isFile() ? stat.size : 0;
  const progress = new Progress('receive', 'bytes');
  let done = 0;
  try {
    for await (const chunk of process.stdin) {
      yield chunk as Buffer;
      done += (chunk as Buffer).length;
      progress.update(done, total);
    }
  } catch (error) {
    const isCutOff = (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
    if (!isCutOff) throw error;
  } finally {
    progress.stop();
  }
}

async function receiveMounted(
  control: ControlClient,
  path: string,
  options: ReceiveWords,
): Promise<void> {
  refuseTerminal();
  const receiver = await MountedReceiver.open(control, options.force === true);
  try {
    for await (const chunk of input()) await receiver.push(chunk);
    for (const answer of await receiver.answers()) {
      tell(answer as unknown as ReceiveAnswer, absolutePath(path), options);
    }
  } catch (error) {
    const token = error instanceof CommandError ? error.details['resumeToken'] : undefined;
    throw withToken(error, typeof token === 'string' ? token : undefined, absolutePath(path));
  } finally {
    await receiver.close();
  }
}

async function receive(volume: ReceivingVolume, options: ReceiveWords): Promise<void> {
  const how: ReceiveOptions = {
    force: options.force === true,
    random: Math.random,
    source: 'receive',
  };
  const { StreamReceiver } = await import('../../sync/stream/receive-stream.js');
  const stream = new StreamReceiver((header) => volume.receiver(header, how));
  try {
    for await (const chunk of input()) {
      for (const answer of stream.push(chunk)) tell(answer, volume.path, options);
    }
    stream.end();
  } catch (error) {
    throw withToken(error, suspend(stream), volume.path);
  }
}

/** Keeps what was received. An earlier error matters more than a failure to keep it. */
function suspend(stream: StreamReceiver): string | undefined {
  try {
    return stream.suspend();
  } catch (error) {
    warn(`the received part could not be kept: ${messageOf(error)}`);
    return undefined;
  }
}

function withToken(error: unknown, token: string | undefined, path: string): unknown {
  if (token === undefined || !(error instanceof CommandError)) return error;
  const { code, errno, message, details } = error;
  const hint =
    `${message}; what came is kept. To go on:\n` +
    `shadowfs send --resume ${token} | shadowfs receive ${shellQuoted(path)}`;
  return new CommandError(code, errno, hint, { ...details, resumeToken: token });
}

/** A word that a shell reads as it is. */
function shellQuoted(word: string): string {
  return /^[\w./:@%+,=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function tell(answer: ReceiveAnswer, path: string, options: ReceiveWords): void {
  if (options.json) {
    printJson({ ok: true, ...answer });
    return;
  }
  const name = printable(answer.name);
  if (answer.outcome === 'already-there') {
    printLine(`snapshot ${name} is in ${path} already`);
    return;
  }
  const what = answer.from === null ? 'in full' : `from ${printable(answer.from)}`;
  printLine(
    `received snapshot ${name} ${what} into ${path}: ${counted(answer.recordCount, 'record')}`,
  );
  if (!answer.isLive) printLine('the tree is unchanged; the snapshot was added');
  if (answer.undo !== undefined) printLine(`its own changes are kept as ${answer.undo}`);
}
