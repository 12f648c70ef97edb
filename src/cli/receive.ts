/** `shadowfs receive VOLUME < file` */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CommandError, messageOf } from '../base/errors.js';
import { ReceivingVolume } from '../daemon/receiving.js';
import type { ReceiveAnswer, ReceiveOptions } from '../sync/receiver.js';
import { StreamReceiver } from '../sync/receive-stream.js';
import { action } from './options.js';
import { printable, printJson, printLine, warn } from './output.js';

interface ReceiveWords {
  force?: boolean;
  token?: boolean;
  json?: boolean;
}

export function addReceive(program: Command): void {
  program
    .command('receive <volume>')
    .description('take snapshots from standard input into a volume; makes it when it is missing')
    .option('--force', 'changes of its tree are no obstacle: they stay as an undo snapshot')
    .option('--token', 'only print the token of a stream that was interrupted')
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', '\nExample:\n  shadowfs receive /srv/project.volume < tuesday.stream')
    .action(
      action(async (path: string, options: ReceiveWords) => {
        const who = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
        const volume = new ReceivingVolume(resolve(path), who);
        try {
          if (options.token === true) tellToken(volume.token(), options);
          else await receive(volume, options);
        } finally {
          volume.close();
        }
      }),
    );
}

function tellToken(token: string | undefined, options: ReceiveWords): void {
  if (token === undefined) {
    throw new CommandError('nothing-to-resume', 'ENOENT', 'no stream was interrupted here');
  }
  if (options.json) printJson({ ok: true, command: 'receive', token });
  else printLine(token);
}

async function receive(volume: ReceivingVolume, options: ReceiveWords): Promise<void> {
  if (process.stdin.isTTY) {
    throw new CommandError(
      'stream-from-terminal',
      'EINVAL',
      'a stream comes from a file or a pipe, not from a terminal',
    );
  }
  const how: ReceiveOptions = {
    force: options.force === true,
    random: Math.random,
    source: 'receive',
  };
  const stream = new StreamReceiver((header) => volume.receiver(header, how));
  try {
    for await (const chunk of process.stdin) {
      for (const answer of stream.push(chunk as Buffer)) tell(answer, volume.path, options);
    }
    stream.end();
  } catch (error) {
    throw withToken(error, suspend(stream));
  }
}

/** What came is kept; what went wrong before is more important than why that failed. */
function suspend(stream: StreamReceiver): string | undefined {
  try {
    return stream.suspend();
  } catch (error) {
    warn(`what came could not be kept: ${messageOf(error)}`);
    return undefined;
  }
}

function withToken(error: unknown, token: string | undefined): unknown {
  if (token === undefined || !(error instanceof CommandError)) return error;
  const { code, errno, message, details } = error;
  const hint = `${message}\nto go on from where it was: shadowfs send --resume ${token}`;
  return new CommandError(code, errno, hint, { ...details, token });
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
  printLine(`received snapshot ${name} ${what} into ${path}: ${answer.records} records`);
  if (answer.undo !== undefined) printLine(`its own changes are kept as ${answer.undo}`);
}
