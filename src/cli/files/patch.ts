/**
 * Changes as a patch in git's form, which `git apply` and `patch` understand.
 * What a patch can't say (owners, attributes, whole directories) is a line that
 * they pass over.
 */
import { lstatSync, type Stats, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bytesOfText, fsPath, shownName } from '../../lib/byte-text.js';
import type { DiffChange } from '../../daemon/commands/inspect.js';
import { changeText } from './diff-text.js';
import { lineDiff } from './line-diff.js';
import type { Output } from './pager.js';

/** The roots of both sides, as directories that can be read. */
export interface Sides {
  before: string;
  after: string;
}

const COLOURS = { '+': '\x1b[32m', '-': '\x1b[31m', '@': '\x1b[36m' } as const;
const BOLD = '\x1b[1m';
const PLAIN = '\x1b[m';

/** As git writes a name: in quotes, bytes in octal, when it holds anything special. Pure. */
export function gitName(prefix: string, path: string): string {
  const bytes = bytesOfText(path);
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c)) {
    return prefix + path;
  }
  let quoted = '';
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) quoted += `\\${String.fromCharCode(byte)}`;
    else if (byte >= 0x20 && byte < 0x7f) quoted += String.fromCharCode(byte);
    else quoted += `\\${byte.toString(8).padStart(3, '0')}`;
  }
  return `"${prefix}${quoted}"`;
}

function gitMode(stat: Stats): string {
  if (stat.isSymbolicLink()) return '120000';
  return (stat.mode & 0o111) === 0 ? '100644' : '100755';
}

/** Undefined: no file with content that a patch shows. */
function statOf(path: string | undefined): Stats | undefined {
  const stat = path === undefined ? undefined : lstatSync(fsPath(path), { throwIfNoEntry: false });
  return stat?.isFile() === true || stat?.isSymbolicLink() === true ? stat : undefined;
}

/** The two sides of a change; undefined: it is not there. */
export function sidesOf(change: DiffChange, { before, after }: Sides): Partial<Sides> {
  const { kind, path, oldPath } = change;
  return {
    ...(kind !== 'added' && { before: join(before, oldPath ?? path) }),
    ...(kind !== 'removed' && { after: join(after, path) }),
  };
}

/** False: nobody reads any more. */
export async function writePatch(
  output: Output,
  change: DiffChange,
  sides: Sides,
): Promise<boolean> {
  const { path, oldPath = path } = change;
  const paths = sidesOf(change, sides);
  const [before, after] = [statOf(paths.before), statOf(paths.after)];
  const say = async (line: string, style = ''): Promise<boolean> =>
    await output.write(
      output.hasColour && style !== '' ? `${style}${line}${PLAIN}\n` : `${line}\n`,
    );
  if (!isInPatch(change, before, after)) return await say(`# ${changeText(change)}`);
  // Another type is one file gone and one come, as git has it.
  if (before !== undefined && after !== undefined && before.isFile() !== after.isFile()) {
    const gone = { ...change, kind: 'removed' as const };
    const come = { ...change, kind: 'added' as const };
    return (await writePatch(output, gone, sides)) && (await writePatch(output, come, sides));
  }
  const [a, b] = [gitName('a/', oldPath), gitName('b/', path)];
  for (const line of headOf(change, before, after)) await say(line, BOLD);
  const names = [
    `--- ${before === undefined ? '/dev/null' : a}`,
    `+++ ${after === undefined ? '/dev/null' : b}`,
  ];
  if ((before ?? after)?.isSymbolicLink() === true) {
    return await writeLink(output, paths, names, say);
  }
  let isFirst = true;
  for await (const part of lineDiff(paths.before, paths.after)) {
    if (part.kind === 'binary') {
      const [left, right] = [before === undefined ? '/dev/null' : a, after ? b : '/dev/null'];
      return await say(`Binary files ${left} and ${right} differ`);
    }
    if (isFirst) for (const name of names) await say(name, BOLD);
    isFirst = false;
    if (!(await output.write(output.hasColour ? coloured(part.bytes) : part.bytes))) return false;
  }
  return true;
}

/** The lines before the differences. Pure. */
function headOf(change: DiffChange, before?: Stats, after?: Stats): string[] {
  const { kind, path, oldPath = path } = change;
  const lines = [`diff --git ${gitName('a/', oldPath)} ${gitName('b/', path)}`];
  const [oldMode, newMode] = [before && gitMode(before), after && gitMode(after)];
  if (oldMode === undefined) lines.push(`new file mode ${newMode}`);
  else if (newMode === undefined) lines.push(`deleted file mode ${oldMode}`);
  else if (oldMode !== newMode) lines.push(`old mode ${oldMode}`, `new mode ${newMode}`);
  if (kind === 'renamed') {
    lines.push(`rename from ${gitName('', oldPath)}`, `rename to ${gitName('', path)}`);
  }
  return lines;
}

/** There is something that a patch shows. */
function isInPatch(change: DiffChange, before?: Stats, after?: Stats): boolean {
  if (before === undefined && after === undefined) return false;
  if (change.kind !== 'changed' || before === undefined || after === undefined) return true;
  const shown = ['content', 'target', 'type'];
  return (
    change.details?.some((detail) => shown.includes(detail)) === true ||
    gitMode(before) !== gitMode(after)
  );
}

/** A symbolic link is a file of one line without an end. */
async function writeLink(
  output: Output,
  { before, after }: Partial<Sides>,
  names: readonly string[],
  say: (line: string, style?: string) => Promise<boolean>,
): Promise<boolean> {
  const [old, now] = [before, after].map((path) =>
    path === undefined ? undefined : readlinkSync(fsPath(path), 'buffer'),
  );
  if (old !== undefined && now?.equals(old) === true) return true;
  for (const name of names) await say(name, BOLD);
  await say(
    `@@ -${old === undefined ? '0,0' : '1'} +${now === undefined ? '0,0' : '1'} @@`,
    COLOURS['@'],
  );
  let isRead = true;
  for (const [sign, target] of [
    ['-', old],
    ['+', now],
  ] as const) {
    if (target === undefined) continue;
    await output.write(Buffer.concat([Buffer.from(sign), target]));
    isRead = await output.write('\n\\ No newline at end of file\n');
  }
  return isRead;
}

/** Each line in its colour. A piece may end within a line, which then goes on without. */
function coloured(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replace(/^([-+@]).*$/gm, (line, sign: '+' | '-' | '@') => {
    return `${COLOURS[sign]}${line}${PLAIN}`;
  });
  return Buffer.from(text, 'latin1');
}

/** `old => new`, or the name. */
export function statName({ kind, path, oldPath }: DiffChange): string {
  return kind === 'renamed' ? `${shownName(oldPath ?? '')} => ${shownName(path)}` : shownName(path);
}
