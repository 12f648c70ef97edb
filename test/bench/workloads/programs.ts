/** Programs at their daily work: git, npm, SQLite, node loading modules. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Material } from '../material.js';
import { child, run, timed } from '../shell.js';
import {
  middle,
  row,
  type Seat,
  type Stage,
  same,
  timing,
  unpack,
  type Workload,
} from './workload.js';

const AUTHOR = ['-c', 'user.name=Bench', '-c', 'user.email=bench@localhost', '-c', 'gc.auto=0'];

const repository = ({ root }: Seat): string => join(root, 'repository');

function git(seat: Seat, ...args: string[]): number {
  return timed('git', ['-C', repository(seat), ...AUTHOR, ...args]);
}

function addAndCommit(seat: Seat): number {
  return git(seat, 'add', '-A') + git(seat, 'commit', '-q', '-m', 'all');
}

function needRepository(seat: Seat, { tree: { archive } }: Material): void {
  if (existsSync(repository(seat))) return;
  unpack(archive, repository(seat));
  git(seat, 'init', '-q');
}

export const gitStage: Stage = {
  name: 'git',
  needs: (material) => void material.tree,
  workloads: [
    timing({
      name: 'git-commit',
      title: 'git add and commit of the tree',
      ratio: 1.4,
      prepare: needRepository,
      run: addAndCommit,
      verify: (seat) => {
        const print = (...args: string[]): string =>
          run('git', ['-C', repository(seat), ...AUTHOR, ...args]);
        print('fsck', '--full');
        same('the state of the repository', print('status', '--porcelain'), '');
      },
    }),
    timing({
      name: 'git-status',
      title: 'git status',
      ratio: 1,
      prepare: (seat, material) => {
        needRepository(seat, material);
        if (!existsSync(join(repository(seat), '.git/refs/heads/master'))) {
          if (!existsSync(join(repository(seat), '.git/refs/heads/main'))) addAndCommit(seat);
        }
        git(seat, 'status');
      },
      run: (seat) => middle(() => git(seat, 'status')),
    }),
  ],
};

const project = ({ root }: Seat): string => join(root, 'project');

export const npmStage: Stage = {
  name: 'npm',
  needs: (material) => void material.npm,
  workloads: [
    timing({
      name: 'npm-ci',
      title: 'npm ci of this project',
      prepare: (seat, material) => material.copyPackage(project(seat)),
      run: (seat, { npm: { options } }) => timed('npm', options, { cwd: project(seat) }),
      verify: (seat, { npm: { digest } }) =>
        same('what npm installed', child('tree-digest', project(seat))['digest'], digest),
    }),
  ],
};

const inserted = (i: number): string =>
  `INSERT INTO t (name, value) VALUES ('row ${i} of a table in a file', ${i * 3});`;

const CREATE = 'CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value INTEGER);';

const rows = (count: number): string[] => Array.from({ length: count }, (_, i) => inserted(i));

function sqlite(
  name: string,
  title: (material: Material) => string,
  ratio: number,
  script: { setUp: string; count: (material: Material) => number; isOne: boolean },
): Workload {
  const database = ({ root }: Seat): string => join(root, `${name}.db`);
  const query = (seat: Seat, ...statements: string[]): string =>
    run('sqlite3', ['-bail', database(seat), ...statements]);
  return timing({
    name,
    title,
    ratio,
    prepare: (seat) => void query(seat, script.setUp),
    run: (seat, material) => {
      const path = material.sqlScript(name, () => {
        const statements = rows(script.count(material)).join('\n');
        // Outside a transaction each statement is one.
        return script.isOne ? `BEGIN;\n${statements}\nCOMMIT;\n` : `${statements}\n`;
      });
      return timed('sqlite3', ['-bail', database(seat), `.read ${path}`]);
    },
    verify: (seat, material) => {
      const count = script.count(material);
      const found = query(seat, 'PRAGMA integrity_check;', 'SELECT count(*), sum(value) FROM t;');
      same(`the database ${name}`, found, `ok\n${count}|${(3 * count * (count - 1)) / 2}\n`);
    },
  });
}

const small = ({ sizes }: Material): number => sizes.sqliteTransactions;
const large = ({ sizes }: Material): number => sizes.sqliteRows;

export const sqliteStage: Stage = {
  name: 'sqlite',
  workloads: [
    sqlite(
      'sqlite-one',
      (material) => `sqlite: ${large(material).toLocaleString('en')} rows in one transaction`,
      1.2,
      { setUp: CREATE, count: large, isOne: true },
    ),
    sqlite('sqlite-many', (material) => `sqlite: ${small(material)} transactions`, 1.8, {
      setUp: CREATE,
      count: small,
      isOne: false,
    }),
    sqlite('sqlite-wal', (material) => `sqlite: ${small(material)} transactions, WAL`, 1.3, {
      setUp: `PRAGMA journal_mode=WAL; ${CREATE}`,
      count: small,
      isOne: false,
    }),
  ],
};

const modules = ({ root }: Seat): string => join(root, 'modules');

function needModules(seat: Seat, material: Material): void {
  if (!existsSync(modules(seat))) unpack(material.modules.archive, modules(seat));
}

function load(seat: Seat, material: Material): number {
  const main = join(modules(seat), 'main.js');
  const start = process.hrtime.bigint();
  const printed = run(process.execPath, [main]);
  const ms = Number(process.hrtime.bigint() - start) / 1e6;
  same('the sum of all modules', printed, material.modules.printed);
  return ms;
}

export const modulesStage: Stage = {
  name: 'modules',
  needs: (material) => void material.modules,
  workloads: [
    {
      name: 'node-cold',
      rows: [
        row(
          'node-cold',
          ({ sizes }) => `node loading ${sizes.modules.toLocaleString('en')} modules, cold`,
          1.1,
        ),
      ],
      prepare: needModules,
      run: (seat, material) => {
        seat.cool();
        run(process.execPath, ['-e', '0']);
        return { 'node-cold': load(seat, material) };
      },
    },
    timing({
      name: 'node',
      title: 'the same, hot',
      ratio: 1.05,
      prepare: (seat, material) => {
        needModules(seat, material);
        load(seat, material);
      },
      run: (seat, material) => middle(() => load(seat, material)),
    }),
  ],
};
