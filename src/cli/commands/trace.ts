/** `shadowfs trace` */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { CommandError, messageOf } from '../../lib/errors.js';
import { REQUEST_KINDS } from '../../fuse/protocol/opcode-names.js';
import { parseTraceOps } from '../../control/streams/trace-filter.js';
import { formatCommandLine } from '../../format/text/grammar.js';
import { fromJson } from '../../format/text/json-text.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { printLine } from '../output.js';
import { findMount } from '../target.js';
import { TRACE_HEADING, type TraceLine, traceText } from './trace-text.js';
import { numberAbove, wholeNumber } from '../values.js';

const CHUNK_BYTES = 256 * 1024;
/** Where a read can't wait (fuse-native), it is tried again after this time. */
const AGAIN_MS = 50;

interface TraceOptions extends CommonOptions {
  op?: string;
  path?: string;
  slow?: number;
  count?: number;
}

/** Refused before anything is followed: a kind that does not exist would be waited for for ever. */
function kinds(text: string): string {
  try {
    parseTraceOps(text, REQUEST_KINDS);
  } catch (error) {
    const message = messageOf(error);
    throw new InvalidArgumentError(`${message.charAt(0).toUpperCase()}${message.slice(1)}.`);
  }
  return text;
}

const EXAMPLES = `
  shadowfs trace                            everything, until Ctrl-C
  shadowfs trace --op LOOKUP,GETATTR        who asks for what, again and again
  shadowfs trace --slow 10                  what takes more than 10 ms
  shadowfs trace --path '*.log' --count 20  a pattern without a slash is about the last name
  shadowfs trace --path 'src/*' ~/project   "*" goes through slashes, too
Only the owner of the mount and root may do this: it shows everybody's file names.`;

export function addTrace(program: Command): void {
  withMountpoint(
    program
      .command('trace')
      .description('follow the requests of programs, one line each')
      .option('--op <kinds>', 'only these kinds of request, separated by commas', kinds)
      .option('--path <glob>', 'only these paths (below the mountpoint)')
      .option('--slow <ms>', 'only requests that took at least this long', numberAbove(0))
      .option('--count <n>', 'end after this many', wholeNumber(1)),
    EXAMPLES,
  ).action(
    action(async (mountpoint: string | undefined, options: TraceOptions) => {
      const { control } = await findMount(at(options, mountpoint));
      const path = join(control.directory, 'trace');
      const file = await control.attempt(() => open(path, constants.O_RDWR));
      try {
        await setFilter(file, options);
        await follow(file, options);
      } finally {
        await file.close().catch(() => undefined);
      }
    }),
  );
}

async function setFilter(file: FileHandle, { op, path, slow }: TraceOptions): Promise<void> {
  const words = new Map<string, string>();
  if (op !== undefined) words.set('op', op);
  if (path !== undefined) words.set('path', path);
  if (slow !== undefined) words.set('slow', String(slow));
  if (words.size === 0) return;
  try {
    await file.write(formatCommandLine({ options: words }), null, 'utf8');
  } catch {
    throw new CommandError(
      'bad-option',
      'EINVAL',
      'there are no such kinds of request, or patterns',
    );
  }
}

async function follow(file: FileHandle, { json, count }: TraceOptions): Promise<void> {
  if (json !== true) printLine(TRACE_HEADING);
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let rest = Buffer.alloc(0);
  let left = count ?? Number.POSITIVE_INFINITY;
  while (left > 0) {
    const bytesRead = await next(file, buffer);
    if (bytesRead === undefined) return;
    if (bytesRead === 0) await sleep(AGAIN_MS);
    const all = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    const end = all.lastIndexOf(0x0a) + 1;
    rest = all.subarray(end);
    for (const text of all.toString('utf8', 0, end).split('\n')) {
      if (text === '' || left <= 0) continue;
      const line = fromJson(text) as TraceLine;
      if (line.droppedCount === undefined) left--;
      printLine(json === true ? text : traceText(line));
    }
  }
}

/** Undefined: the mount is gone, or a signal ended the trace. */
async function next(file: FileHandle, buffer: Buffer): Promise<number | undefined> {
  try {
    return (await file.read(buffer, 0, buffer.length, null)).bytesRead;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EINTR' || code === 'ENOTCONN' || code === 'ENODEV' || code === 'ECONNABORTED')
      return undefined;
    throw error;
  }
}
