/**
 * native-notes/json.md against what commands, control files and events give: every command that
 * offers `--json` and every state file on real mounts, each field by its name and its type.
 */
import fs from 'node:fs';
import t from 'tap';
import { makeProgram } from '../../src/cli/program.js';
import { fullName, withDescendants } from '../../src/cli/program-walk.js';
import { CONTROL_FILES } from '../../src/control/commands/files.js';
import { asUser, isNative, pause, type World } from './harness.js';

const NOTE = fs.readFileSync(new URL('../../native-notes/json.md', import.meta.url), 'utf8');

// --- the note ---------------------------------------------------------------

interface Field {
  name: string;
  isOptional: boolean;
  /** `text`, `moment`, …, or an object's name. */
  type: string;
  isList: boolean;
  isNullable: boolean;
}

function sectionsOf(text: string, marks: string): Map<string, string> {
  const [, ...parts] = text.split(new RegExp(`^${marks} `, 'm'));
  return new Map(
    parts.map((part) => {
      const end = part.indexOf('\n');
      return [part.slice(0, end), part.slice(end)];
    }),
  );
}

const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));

function fieldOf([, word = '', what = '']: string[]): Field {
  const name = word.replaceAll('`', '');
  const isNullable = what.endsWith(' or null');
  const list = /^list of /.test(what);
  const type = what
    .replace(/^list of /, '')
    .replace(/ or null$/, '')
    .replace(/^\[(.*)\]\(#.*\)$/, '$1');
  return {
    name: name.replace('?', ''),
    isOptional: name.endsWith('?'),
    type,
    isList: list,
    isNullable,
  };
}

const parts = sectionsOf(NOTE, '##');
const objects = new Map(
  [...sectionsOf(parts.get('Objects') ?? '', '###')].map(([name, text]) => [
    name,
    rowsOf(text).map(fieldOf),
  ]),
);

/** What a table says that a command, or a file, gives: names of objects. */
function givenBy(part: string): Map<string, string[]> {
  return new Map(
    rowsOf(parts.get(part) ?? '').map(([, word = '', what = '']) => [
      word.replaceAll('`', ''),
      [...what.matchAll(/\(#([a-z-]+)\)/g)].map(([, name = '']) => name),
    ]),
  );
}

const commands = givenBy('Commands');
const files = givenBy('Control files');

// --- values -----------------------------------------------------------------

type Json = Record<string, unknown>;

/** A moment of this millennium; no duration is as long. */
const LEAST_MOMENT_MS = Date.UTC(2001, 0);

function wrongScalar(type: string, value: unknown): boolean {
  switch (type) {
    case 'text':
      return typeof value !== 'string';
    case 'flag':
      return typeof value !== 'boolean';
    case 'stored':
      return typeof value !== 'object';
    case 'number':
      return typeof value !== 'number';
    case 'count':
    case 'bytes':
      return !(Number.isInteger(value) && (value as number) >= 0);
    case 'moment':
      return !(Number.isInteger(value) && (value as number) > LEAST_MOMENT_MS);
    case 'duration':
      return !(typeof value === 'number' && value >= 0 && value < LEAST_MOMENT_MS);
    default:
      return true;
  }
}

/** What is wrong with a value, by the place of it. */
function problems(type: string, value: unknown, place: string): string[] {
  const fields = objects.get(type);
  if (fields === undefined) {
    return wrongScalar(type, value) ? [`${place}: ${JSON.stringify(value)} is no ${type}`] : [];
  }
  if (typeof value !== 'object' || value === null) return [`${place} is no ${type}`];
  const given = value as Json;
  const known = new Map(fields.map((field) => [field.name, field]));
  const found: string[] = [];
  for (const [key, item] of Object.entries(given)) {
    const name = key.replace(/Base64$/, '');
    if (name !== key && name in given) continue;
    const field = known.get(key);
    if (field === undefined) found.push(`${place}.${key} is not in the note`);
    else if (item === null) {
      if (!field.isNullable) found.push(`${place}.${key} is null`);
    } else if (!field.isList) found.push(...problems(field.type, item, `${place}.${key}`));
    else if (!Array.isArray(item)) found.push(`${place}.${key} is no list`);
    else {
      for (const one of item) found.push(...problems(field.type, one, `${place}.${key}[]`));
    }
  }
  for (const { name, isOptional } of fields) {
    if (!isOptional && !(name in given)) found.push(`${place}.${name} is missing`);
  }
  return found;
}

/** The problems with the object that fits best. */
function problemsOfAny(types: readonly string[], value: unknown, place: string): string[] {
  const all = types.map((type) => problems(type, value, `${place} (${type})`));
  return all.sort((a, b) => a.length - b.length)[0] ?? [`${place}: nothing is said of it`];
}

// --- the note itself ----------------------------------------------------------

const SCALARS = ['text', 'flag', 'count', 'bytes', 'moment', 'duration', 'number', 'stored'];
const DURATIONS = new Set(['tookMs', 'elapsedMs', 'lagMs', 'everyMs']);
/** Rules J3 and J5: objects of durations, and of counts. */
const OF_DURATIONS = new Set(['timings', 'requests', 'bucket', 'loop', 'commits']);
const OF_COUNTS = new Set(['summary', 'nodes', 'checked', 'requests', 'loop', 'commits']);

function expectedType(object: string, { name, type }: Field): string {
  if (name.endsWith('Ms')) {
    return DURATIONS.has(name) || OF_DURATIONS.has(object) ? 'duration' : 'moment';
  }
  if (name.endsWith('Bytes')) return 'bytes';
  if (name.endsWith('Count') || name === 'count') return 'count';
  if (type === 'count' && OF_COUNTS.has(object)) return 'count';
  return ['moment', 'duration', 'bytes', 'count'].includes(type) ? `no ${type}` : type;
}

t.test('the note keeps its own rules', (t) => {
  const seen = new Map<string, string>();
  for (const [object, fields] of objects) {
    t.ok(fields.length > 0, `${object} has fields`);
    for (const field of fields) {
      const { name, type, isList } = field;
      const place = `${object}.${name}`;
      t.ok(SCALARS.includes(type) || objects.has(type), `${place}: ${type} is known`);
      t.equal(type, expectedType(object, field), `${place}: its name has its unit`);
      if (name === 'details') continue;
      const form = isList ? 'list' : SCALARS.includes(type) ? type : 'object';
      t.equal(form, seen.get(name) ?? form, `${place}: one type for each name`);
      seen.set(name, form);
    }
  }
  const linked = [...commands.values(), ...files.values()].flat();
  for (const name of linked) t.ok(objects.has(name), `${name} is an object`);
  t.end();
});

t.test(
  'every command with --json and every file that shows something is in the note',
  async (t) => {
    const offering = withDescendants(await makeProgram())
      .filter(({ options }) => options.some(({ long }) => long === '--json'))
      .map(fullName);
    t.same([...commands.keys()].sort(), offering.sort());
    const showing = CONTROL_FILES.filter(({ kind }) => kind === 'state' || kind === 'stream');
    t.same([...files.keys()].sort(), showing.map(({ name }) => name).sort());
  },
);

// --- on mounts --------------------------------------------------------------

class Runs {
  readonly covered = new Set<string>();
  readonly wrong: string[] = [];

  constructor(readonly world: World) {}

  /** The command's words, and what else it is given; its first object. */
  async run(command: string, words: readonly string[], more: RunMore = {}): Promise<Json> {
    const { fails = false, types = commands.get(`shadowfs ${command}`) ?? [] } = more;
    const all = [...command.split(' '), '--json', ...words];
    const ran = await this.world.tryShadowfs(all, more.input === undefined ? {} : more);
    const place = all.join(' ');
    const lines = ran.out.split('\n').filter((line) => line !== '');
    if ((ran.status === 0) === fails) {
      this.wrong.push(`${place}: exit ${ran.status}\n${ran.out}${ran.err}`);
    }
    if (!fails && lines.length > 0) this.covered.add(`shadowfs ${command}`);
    this.look(lines, fails ? (more.types ?? ['failure']) : types, place);
    return lines.length === 0 ? {} : (JSON.parse(lines[0] ?? '{}') as Json);
  }

  look(lines: readonly string[], types: readonly string[], place: string): void {
    for (const line of lines) {
      const value = JSON.parse(line) as Json;
      if (types[0] === 'failure') this.#lookAtFailure(value, place);
      else this.wrong.push(...problemsOfAny(types, value, place));
    }
  }

  /** What belongs to a code is free; its names are not. */
  #lookAtFailure(value: Json, place: string): void {
    const known = new Set((objects.get('failure') ?? []).map(({ name }) => name));
    const own = Object.fromEntries(Object.entries(value).filter(([key]) => known.has(key)));
    this.wrong.push(...problems('failure', own, place));
  }
}

interface RunMore {
  fails?: boolean;
  input?: string;
  types?: readonly string[];
}

const AT = ['-C', 'mnt'];

async function everyday(runs: Runs): Promise<void> {
  const { world } = runs;
  const at = (words: string[]): string[] => [...AT, ...words];
  await world.sh('mkdir base; mkdir base/dir; echo 1 > base/f; echo 2 > base/dir/g; echo > base/h');
  await runs.run('mount', ['--driver', world.driver, 'base', 'mnt']);
  await world.sh('cat "$MNT/f"; echo changed > "$MNT/f"; mkdir -p "$MNT/new/below"; rm "$MNT/h"');
  await runs.run('save', at(['one', '-m', 'a note\nin two lines']));
  await runs.run('schedule', at(['every 1h, keep 5 all']));
  await world.sh('mv "$MNT/f" "$MNT/renamed"; echo x > "$MNT/$(printf "a\\xff")"');
  await runs.run('save', at([]));
  await runs.run('diff', at(['one']));
  await runs.run('diff', at(['one', 'latest']));
  await runs.run('versions', at(['renamed']));
  await runs.run('log', at(['renamed']));
  await runs.run('space', at([]));
  await runs.run('snapshots', at(['--space']));
  await runs.run('branches', at(['--space']));
  await runs.run('space', at(['--files', 'one', 'main']));
  await runs.run('restore', at(['one', '-n', '--', 'f']));
  await runs.run('restore', at(['one', '--', 'f', 'dir']));
  await runs.run('restore', at(['one', '--to', '../out', '--', 'f']));
  await runs.run('restore', at(['one', '--to', '../elsewhere', '-n', '--', 'f']));
  await runs.run('restore', at(['one']));
  await runs.run('undo', at(['-n']));
  await runs.run('undo', at(['--list']), { types: ['undo-step'] });
  await runs.run('undo', at([]));
  await runs.run('rename', at(['one', 'first']));
  await runs.run('branch', at(['dev']), { types: ['branch-made'] });
  await runs.run('branch', at(['old', 'first']), { types: ['branch-made'] });
  await runs.run('switch', at(['dev']));
  await world.sh('echo dev > "$MNT/on-dev"');
  await runs.run('save', at(['on-dev']));
  await runs.run('branches', at([]), { types: ['branch'] });
  await runs.run('switch', at(['main']));
  if (!isNative) await runs.run('run', at(['--', 'touch', 'made-by-run']));
  await runs.run('merge', at(['-n', 'dev']));
  await runs.run('merge', at(['dev']));
  await runs.run('branch', at(['--rename', 'dev', 'kept']), { types: ['branch-rename'] });
  await runs.run('branch', at(['--delete', 'old']), { types: ['branch-delete'] });
  await runs.run('lock', at(['first', 'the audit']));
  await runs.run('locks', ['mnt']);
  await runs.run('delete', at(['first']), { fails: true });
  await runs.run('delete', at(['-n', 'first', 'none']), {
    fails: true,
    types: ['delete-several'],
  });
  await runs.run('unlock', at(['first']));
  await runs.run('save', at(['spare']));
  await runs.run('lock', at(['spare', 'for now']));
  await runs.run('delete', at(['spare', '--force']));
  await runs.run('delete', at(['no..where', 'none*']), { fails: true });
  await runs.run('prune', at(['-n', '--keep', '1 hourly', '*']));
  await runs.run('delete', at(['-n', 'first']), { types: ['delete-several'] });
  await runs.run('compact', ['mnt']);
  for (const command of ['snapshots', 'history', 'status', 'role', 'stats', 'check'])
    await runs.run(command, ['mnt']);
  await runs.run('stats', ['mnt', '--interval', '0.1', '--count', '1']);
  await runs.run('options', at([]));
  await runs.run('options', at(['keep-undo=4', 'compression=on']));
  await runs.run('schedule', at([]));
  await runs.run('apply', at(['-n']));
  await runs.run('apply', at([]));
  await runs.run('freeze', at(['-n']));
  await runs.run('freeze', at(['--stop']));
  await runs.run('undo', at(['-n']));
  await runs.run('undo', at([]));
  await world.sh('echo others > base/f');
  await runs.run('apply', at(['-n']), { fails: true, types: ['apply-plan'] });
  await runs.run('apply', at(['--theirs']));
  await runs.run('restore', at(['nothing']), { fails: true });
  await runs.run('undo', at(['--nonsense']), { fails: true });
}

async function controlFiles(runs: Runs): Promise<void> {
  const { world } = runs;
  for (const [name, types] of files) {
    if (name === 'events' || name === 'trace') continue;
    const text = await world.sh(`cat "$MNT/.control/${name}"`);
    const isOne = name === 'status' || name === 'stats';
    const lines = isOne ? [JSON.stringify(JSON.parse(text))] : text.split('\n').filter(Boolean);
    if (lines.length === 0 && name !== 'locks' && name !== 'peers') {
      runs.wrong.push(`${name} is empty`);
    }
    if (name !== 'result') runs.look(lines, types, name);
  }
  const usage = await world.sh('cat "$MNT/.control/save"');
  runs.look([usage], ['usage'], 'save, before a command');
  const begun = await world.sh(
    'exec 3<> "$MNT/.control/restore-files"; echo first path=dir >&3; cat <&3',
  );
  runs.look([begun], ['files-begun'], 'restore-files');
  const refused = await world.trySh('exec 3<> "$MNT/.control/save"; echo a/b >&3; cat <&3');
  runs.look([refused.out], ['failure'], 'save a/b');
}

/** A line of `trace`, and one of `events`. */
async function streams(runs: Runs): Promise<void> {
  const { world } = runs;
  const trace = runs.run('trace', ['mnt', '--op', 'MKDIR', '--count', '1']);
  // With fuse-native, `events` ends where nothing is new.
  const events = isNative
    ? undefined
    : world.trySh('read -r line < "$MNT/.control/events"; echo "$line"');
  let isDone = false;
  void Promise.all([events, trace]).then(() => {
    isDone = true;
  });
  for (let n = 0; n < 60 && !isDone; n++) {
    await pause(100);
    await world.sh(`mkdir "$MNT/traced${n}"; echo told${n} > "$MNT/.control/save"`);
  }
  await trace;
  if (events === undefined) return;
  const { timeMs, ...answer } = JSON.parse((await events).out) as Json;
  runs.look([JSON.stringify({ timeMs })], ['event'], 'events');
  runs.look([JSON.stringify(answer)], ['save'], 'events');
}

async function volumes(runs: Runs): Promise<void> {
  const { world } = runs;
  await runs.run('send', ['-n', 'first', ...AT]);
  await world.sh(`node ${world.checkout}/dist/cli/main.js send first -C mnt > stream`);
  const stream = (words: string): Promise<string> =>
    world.sh(`node ${world.checkout}/dist/cli/main.js receive --json ${words}`);
  runs.look([await stream('copy.volume < stream')], ['receive'], 'receive');
  runs.look([await stream('copy.volume < stream')], ['receive'], 'receive, again');
  runs.covered.add('shadowfs receive');
  await runs.run('status', ['--volume', 'copy.volume']);
  await runs.run('volumes', []);
  await runs.run('volume move', ['copy.volume', 'moved.volume']);
  await runs.run('volume forget', ['moved.volume']);
  await runs.run('volume adopt', ['moved.volume']);
  await runs.run('volume delete', ['-n', 'moved.volume']);
  await runs.run('volume delete', ['moved.volume'], { fails: true });
  await runs.run('volume delete', ['--force', 'moved.volume']);
}

async function untilLevel({ world }: Runs): Promise<void> {
  for (let n = 0; n < 100; n++) {
    if ((await world.shadowfs(['sync', 'b']).catch(() => undefined))?.['level'] === true) return;
    await pause(100);
  }
  throw new Error('the standby does not get level');
}

async function peers(runs: Runs): Promise<void> {
  const { world } = runs;
  await world.sh('mkdir a b');
  for (const name of ['a', 'b']) await world.mount(['--no-base', name]);
  await world.sh('echo 1 > a/f');
  await runs.run('save', ['one', '-C', 'a']);
  const words = ['a', '--listen', '127.0.0.1:0', '--name', 'b'];
  const { token } = await runs.run('peer invite', words);
  await runs.run('peer join', [String(token), 'b', '--name', 'a']);
  await runs.run('demote', ['b', '--peer', 'a']);
  await runs.run('sync', ['now', 'b']);
  await untilLevel(runs);
  for (const action of ['pause', 'resume', 'every 1h', 'always', 'keep 5']) {
    await runs.run('sync', [...action.split(' '), './b']);
  }
  for (const name of ['a', 'b']) {
    await runs.run('peer list', [name]);
    await runs.run('sync', [name]);
    await runs.run('status', [name]);
    await runs.run('role', [name]);
    runs.look([await world.sh(`cat ${name}/.control/role`)], ['role'], `role of ${name}`);
  }
  const checked = await world.tryShadowfs(['sync', '--check', 'b', '--json']);
  const { ok, command, status, exitCode, message, ...state } = JSON.parse(checked.out) as Json;
  const own = { ok, command, status, exitCode, message };
  runs.look([JSON.stringify(own)], ['sync-check'], 'sync --check');
  runs.look([JSON.stringify(state)], ['sync-state'], 'sync --check');
  await runs.run('locks', ['a']);
  await runs.run('switchover', ['b']);
  await untilBack(runs);
  await runs.run('revert', ['a']);
  await runs.run('unlock', ['--from', 'b', '-C', 'a']);
  await runs.run('peer remove', ['b', 'a', '--force']);
}

/** `a` follows `b` now. */
async function untilBack({ world }: Runs): Promise<void> {
  for (let n = 0; n < 100; n++) {
    if ((await world.shadowfs(['sync', 'a']).catch(() => undefined))?.['level'] === true) return;
    await pause(100);
  }
  throw new Error('the former primary does not get level');
}

async function group(runs: Runs): Promise<void> {
  const { world } = runs;
  await world.sh('mkdir c d');
  for (const name of ['c', 'd']) await world.mount(['--no-base', name]);
  await runs.run('promote', ['c']);
  // An empty one would become a standby.
  await world.sh('echo own > d/own');
  const words = ['c', '--listen', '127.0.0.1:0', '--name', 'd'];
  const { token } = await runs.run('peer invite', words);
  await runs.run('peer join', [String(token), 'd', '--name', 'c']);
  for (let n = 0; n < 50; n++) {
    const [line = '{}'] = (await world.sh('cat c/.control/peers')).split('\n');
    if ((JSON.parse(line) as Json)['connected'] === true) break;
    await pause(100);
  }
  await runs.run('group-save', ['together', 'd', '-C', 'c', '-m', 'a note']);
  await runs.run('group-save', ['alone', 'nobody', '-C', 'c'], { fails: true });
}

asUser(t, 'every command, state file and event gives what the note says', async (t, world) => {
  const runs = new Runs(world);
  world.env['SHADOWFS_PEER_PAUSE_MS'] = '200';
  const alone = async (): Promise<void> => {
    await everyday(runs);
    await controlFiles(runs);
    await streams(runs);
    await volumes(runs);
    await runs.run('umount', ['mnt']);
  };
  await Promise.all([alone(), peers(runs), group(runs)]);
  t.same(runs.wrong, []);
  t.same(
    [...commands.keys()].filter((name) => !runs.covered.has(name)),
    [],
    'each was run',
  );
});
