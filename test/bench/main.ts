/**
 * `npm run bench -- [OPTIONS]`: shadowfs beside plain ext4 and the FUSE file
 * systems of Debian, and the figures of its own commands. See --help.
 */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { COMMAND_FIGURES } from './command-figures.js';
import { compareSystems, makeMaterial } from './compare-systems.js';
import { type Image, makeImage } from './image.js';
import { compare, comparisonTable, machine, record, type Result, type Roles } from './report.js';
import { PEERS, Shadowfs, type System } from './systems.js';
import { WORKLOADS } from './workloads.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const IMAGE_BYTES = 12 * 2 ** 30;

const HELP = `usage: npm run bench -- [OPTIONS]

  --only NAME,...     these only: ${WORKLOADS.map(({ name }) => name).join(' ')}
                      and of the commands: ${COMMAND_FIGURES.map(({ name }) => name).join(' ')}
                      (without --only: the first row)
  --systems NAME,...  compare with these only: ${PEERS.map(({ name }) => name).join(' ')}
  --rounds N          interleaved rounds (default 3)
  --quick             small trees and files, one round: to see whether it works
  --versus DIR        another checkout of shadowfs, built, beside this one
  --record            append the figures to native-notes/performance.txt
  --json              print them as JSON
`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    systems: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    versus: { type: 'string' },
    record: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function chosen<T extends { name: string }>(all: readonly T[], names: readonly string[]): T[] {
  return all.filter(({ name }) => names.includes(name));
}

function listOf(text: string, ...known: readonly string[]): string[] {
  const names = text.split(',').filter((name) => name !== '');
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')} (see --help)`);
  return names;
}

function say(message: string): void {
  process.stderr.write(`${message}\n`);
}

function systemsOf(image: Image): System[] {
  const names = options.systems?.split(',') ?? PEERS.map(({ name }) => name);
  const own = new Shadowfs('shadowfs', checkout, join(image.directory, 'state'));
  const systems = [...chosen(PEERS, names), own];
  if (options.versus !== undefined) {
    const state = join(image.directory, 'state-versus');
    systems.push(new Shadowfs('versus', resolve(options.versus), state));
  }
  return systems;
}

function rolesOf(systems: readonly System[]): Roles {
  const having = (role: System['role']): string[] =>
    systems.filter((system) => system.role === role).map(({ name }) => name);
  return { disk: having('disk')[0] ?? 'ext4', peers: having('peer'), own: having('own') };
}

async function measure(
  image: Image,
): Promise<{ sections: string[]; json: Record<string, unknown> }> {
  const sections: string[] = [];
  const json: Record<string, unknown> = { machine: machine(), timeMs: Date.now() };
  const known = [...WORKLOADS, ...COMMAND_FIGURES].map(({ name }) => name);
  const only = options.only === undefined ? undefined : listOf(options.only, ...known);
  const systems = systemsOf(image);
  const workloads = only === undefined ? [...WORKLOADS] : chosen(WORKLOADS, only);
  if (workloads.length > 0) {
    const material = makeMaterial(image, options.quick);
    const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
    const what = { image, systems, workloads, material, rounds, say };
    const results: Result[] = await compareSystems(what);
    const roles = rolesOf(systems);
    sections.push(comparisonTable(results, roles));
    json['workloads'] = results.map((result) => ({ ...result, ...compare(result, roles) }));
  }
  const own = systems.find((system) => system instanceof Shadowfs);
  for (const figures of chosen(COMMAND_FIGURES, only ?? [])) {
    if (own === undefined) break;
    const context = { image, system: own, isQuick: options.quick, say };
    const { section, values } = await figures.measure(context);
    sections.push(section);
    json[figures.name] = values;
  }
  return { sections, json };
}

async function main(): Promise<void> {
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const image = makeImage(IMAGE_BYTES);
  process.on('exit', () => image.remove());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(1));
  }
  const { sections, json } = await measure(image);
  const text = options.json ? JSON.stringify(json, null, 2) : sections.join('\n\n');
  process.stdout.write(`${text}\n`);
  if (options.record) {
    const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
    record(join(checkout, 'native-notes', 'performance.txt'), command, sections);
  }
}

await main();
