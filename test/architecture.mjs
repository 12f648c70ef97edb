/**
 * Draws native-notes/architecture.svg from the sources: the floors and rooms
 * of src, and which thread of a daemon loads code of which room.
 *
 *   node test/architecture.mjs           writes the picture
 *   node test/architecture.mjs --print   prints it, for the test
 *
 * What a thread loads is what its entry file imports, directly or not, types
 * and imports on demand left out. The same sources give the same picture.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = path.join(root, 'native-notes/architecture.svg');

/** From the bottom up, as the rules for imports have them. */
function readFloors() {
  const rules = fs.readFileSync(path.join(root, '.dependency-cruiser.cjs'), 'utf8');
  const [, list = ''] = /const LAYERS = (\[[\s\S]*?\n\]);/.exec(rules) ?? [];
  return JSON.parse(list.replaceAll("'", '"').replaceAll(/,(?=\s*\])/g, ''));
}

const FLOORS = readFloors();

/** Letter, name, room and kind of the entry file, task. */
const THREADS = [
  ['C', 'command line', 'cli/main', 'its own process; asks the control files'],
  ['M', 'main', 'daemon/serve/*-process', 'signals, start and end, the other threads'],
  ['S', 'serving', 'daemon/serve/*-thread', 'answers the kernel; owns volume, tree, control files'],
  ['W', 'writer', 'volume/commit/*-thread', "LMDB's transactions and flushes, the collector"],
  ['H', 'helpers (two)', 'fuse/helpers/*-thread', 'syncfs, notifications; cold reads of the base'],
  ['O', 'occupier', 'fuse/cpu/*-thread', 'keeps the second of two processors from looking idle'],
  [
    'P',
    "peers' connections",
    'daemon/peers/*-thread',
    'sockets, TLS, the sync agent; only with peers',
  ],
  ['I', 'inspect', 'daemon/commands/*-thread', 'one check, diff or versions; then it ends'],
  ['T', 'toucher', 'daemon/watchers/*-process', 'its own process; only when programs watch'],
  ['L', 'looker', 'daemon/volumes/*-process', 'its own process, of volumes; may wait for ever'],
  ['U', 'unmount', 'daemon/mount/*-thread', 'one unmount that waits for the mount'],
  ['N', 'handing over', 'daemon/mount/*-process', 'two, of a mount into another namespace'],
];
const COLOURS = {
  C: '#57606a',
  M: '#8250df',
  S: '#0969da',
  W: '#1a7f37',
  H: '#9a6700',
  O: '#6e7781',
  P: '#bc4c00',
  I: '#bf3989',
  T: '#1b7c83',
  L: '#57606a',
  U: '#a40e26',
  N: '#0550ae',
};

// --- what the sources say ---------------------------------------------------

const files = fs
  .readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .sort();

/** A room is a folder of src, or one in it: `volume`, `volume/files`. */
const roomOf = (file) => path.dirname(file);

/** The files that a file needs when it is loaded. */
function importsOf(file) {
  const text = fs.readFileSync(path.join(root, 'src', file), 'utf8');
  const found = [];
  for (const [, clause, from] of text.matchAll(
    /^import\s+(?:([^'";]+?)\s+from\s+)?'(\.[^']+)';/gm,
  )) {
    const isTypeOnly =
      clause !== undefined &&
      (clause.startsWith('type ') || /^\{(\s*type [^,}]+,?)+\s*\}$/.test(clause));
    if (!isTypeOnly) found.push(path.join(path.dirname(file), from.replace(/\.js$/, '.ts')));
  }
  return found;
}

function loadedBy(entry) {
  const seen = new Set([entry]);
  for (const file of seen) for (const other of importsOf(file)) seen.add(other);
  return new Set([...seen].map(roomOf));
}

const rooms = [...new Set(files.map(roomOf))].sort();
const threads = THREADS.map(([letter, name, pattern, task]) => {
  const isEntry = new RegExp(`^${pattern.replace('*', '[a-z-]+')}\\.ts$`);
  const [entry, another] = files.filter((file) => isEntry.test(file));
  if (entry === undefined || another !== undefined) {
    throw new Error(`expected one file src/${pattern}.ts, the entry of the thread "${name}"`);
  }
  return { letter, name, entry, task, loads: loadedBy(entry) };
});
const entries = threads.map(({ entry }) => entry);
const stranger = files.find(
  (file) => /-(thread|process)\.ts$/.test(file) && !entries.includes(file),
);
if (stranger !== undefined) throw new Error(`src/${stranger} is a thread that THREADS lacks`);
const housed = FLOORS.flat();
const tops = [...new Set(rooms.map((room) => room.split('/')[0]))];
const gates = tops.filter((top) => !housed.includes(top));

// --- the picture ------------------------------------------------------------

const WIDTH = 1240;
const HOUSE = 820;
const CHIP = 34;
const GAP = 8;
const escaped = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const textWidth = (text, size) => Math.round(text.length * size * 0.6);

const parts = [];
function box(x, y, width, height, fill, stroke, extra = '') {
  parts.push(
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="4" fill="${fill}" stroke="${stroke}"${extra}/>`,
  );
}
function label(x, y, text, { size = 12, fill = '#1f2328', weight = 'normal' } = {}) {
  parts.push(
    `<text x="${x}" y="${y}" font-size="${size}" fill="${fill}" font-weight="${weight}">${escaped(text)}</text>`,
  );
}

/** One room: its name, and the letters of the threads that load code of it. */
function chip(x, y, width, room, name) {
  box(x, y, width, CHIP, '#ffffff', '#8c959f', ` data-room="${room}"`);
  label(x + 6, y + 14, name);
  let at = x + 6;
  for (const { letter, loads } of threads) {
    if (!loads.has(room)) continue;
    label(at, y + 28, letter, { size: 11, fill: COLOURS[letter], weight: 'bold' });
    at += 10;
  }
}

const chipWidth = (name) => Math.max(textWidth(name, 12) + 12, threads.length * 10 + 12);

/** A top folder with its rooms, in rows; returns its height. */
function folder(top, x, y, width) {
  const own = rooms.filter((room) => room === top || room.startsWith(`${top}/`));
  const start = { x: x + 96, y: y + 6 };
  let at = { ...start };
  const chips = [];
  for (const room of own) {
    const name = room === top ? `${top}/*.ts` : room.slice(top.length + 1);
    const wide = chipWidth(name);
    if (at.x + wide > x + width - 6) at = { x: start.x, y: at.y + CHIP + GAP };
    chips.push([at.x, at.y, wide, room, name]);
    at = { x: at.x + wide + GAP, y: at.y };
  }
  const height = at.y + CHIP + 6 - y;
  box(x, y, width, height, '#eef2f6', '#d0d7de');
  label(x + 8, y + 22, top, { size: 13, weight: 'bold' });
  for (const one of chips) chip(...one);
  return height;
}

let y = 62;
label(12, 26, 'shadowfs: floors, rooms and threads', { size: 17, weight: 'bold' });
label(12, 46, 'Imports point downwards only. Folders of one floor never import each other.', {
  fill: '#57606a',
});
for (const floor of FLOORS.toReversed()) {
  const start = y;
  for (const top of floor) y += folder(top, 20, y, HOUSE - 20) + 4;
  box(12, start - 3, 4, y - start - 1, '#57606a', '#57606a');
  y += 10;
}
label(12, y + 8, 'Beside the floors: a gate to system calls, which knows nothing of volumes.', {
  fill: '#57606a',
});
y += 16;
for (const gate of gates) y += folder(gate, 20, y, HOUSE - 20) + 4;
const houseEnd = y;

y = 62;
const right = HOUSE + 24;
label(right, 46, "Threads: a letter: the thread loads the room's code", {
  fill: '#57606a',
});
for (const { letter, name, entry, task } of threads) {
  box(right, y, WIDTH - right - 12, 64, '#ffffff', COLOURS[letter]);
  label(right + 10, y + 20, letter, { size: 15, fill: COLOURS[letter], weight: 'bold' });
  label(right + 32, y + 20, name, { size: 13, weight: 'bold' });
  label(right + 10, y + 38, task, { size: 11 });
  label(right + 10, y + 55, `src/${entry}`, { size: 11, fill: '#57606a' });
  y += 72;
}
const height = Math.max(houseEnd, y) + 12;

const svg = [
  '<!-- Drawn by test/architecture.mjs from the sources: do not edit. -->',
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="ui-monospace, Menlo, Consolas, monospace">`,
  `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
  ...parts,
  '</svg>',
  '',
].join('\n');

if (process.argv.includes('--print')) process.stdout.write(svg);
else fs.writeFileSync(target, svg);
