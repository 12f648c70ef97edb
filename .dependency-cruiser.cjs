/**
 * The lines that hold the architecture: imports point downwards only, and each
 * dangerous package has one gate. Every rule says why it is there.
 */
const fs = require('node:fs');
const path = require('node:path');

/** From the bottom up; directories of one row never import each other. */
const LAYERS = [
  ['lib'],
  ['measure'],
  ['format'],
  ['store', 'base'],
  ['volume'],
  ['check'],
  ['tree'],
  ['fuse', 'fuse-native', 'control', 'sync'],
  ['daemon'],
  ['cli'],
];

const directory = (names) => `^src/(${names.join('|')})/`;

const upwards = LAYERS.flatMap((row, level) =>
  row.map((name) => ({
    name: `${name}-imports-downwards`,
    comment: `${name}/ must work, and be tested, without what is built on it.`,
    severity: 'error',
    from: { path: directory([name]) },
    to: {
      path: directory(
        LAYERS.slice(level)
          .flat()
          .filter((other) => other !== name),
      ),
    },
  })),
).filter((rule) => rule.to.path !== directory([]));

/**
 * The doors of rooms. A room is a folder below src; the file that is named for
 * its idea opens it, and says in its first comment which files others import:
 * `Doors: a, b.` for all, `Doors inside volume/: c.` for the rooms beside it.
 */
const DOORS = /^ \* Doors(?: inside [\w-]+\/)?: ([^.]*)\./gm;

function filesOf(room) {
  return fs.readdirSync(room).filter((name) => name.endsWith('.ts'));
}

/** What a room's opening file says, as names of files; '*': every file. */
function doorsOf(room) {
  const found = filesOf(room).flatMap((name) => {
    const text = fs.readFileSync(path.join(room, name), 'utf8');
    const comment = text.slice(0, text.indexOf('*/')).replace(/\n \* {3,}/g, ' ');
    return [...comment.matchAll(DOORS)].map(([line, names]) => ({
      opener: name,
      isInner: line.includes('Doors inside'),
      names: names === 'every file' ? ['*'] : names.split(', '),
    }));
  });
  const openers = new Set(found.map(({ opener }) => opener));
  if (openers.size !== 1) throw new Error(`${room}: one file opens a room and names its doors`);
  const named = (wanted) => found.filter(wanted).flatMap(({ names }) => names);
  const doors = { outer: named((one) => !one.isInner), inner: named((one) => one.isInner) };
  for (const name of [...doors.outer, ...doors.inner]) {
    if (name !== '*' && !fs.existsSync(path.join(room, `${name}.ts`))) {
      throw new Error(`${room}: there is no ${name}.ts for a door`);
    }
  }
  return doors;
}

const rooms = fs
  .readdirSync('src', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
  .filter((room) => filesOf(room).length > 0);

const doorRules = rooms.flatMap((room) => {
  const { outer, inner } = doorsOf(room);
  const floor = room.split('/').slice(0, 2).join('/');
  const rule = (scope, from, doors) =>
    doors.includes('*')
      ? []
      : [
          {
            name: `doors-${room.slice('src/'.length).replace('/', '-')}-${scope}`,
            comment: `${room}/ is entered through the files that its opening comment names.`,
            severity: 'error',
            from,
            to: { path: `^${room}/[^/]+$`, pathNot: `^${room}/(${doors.join('|') || '-'})\\.ts$` },
          },
        ];
  return [
    ...rule('outside', { path: '^src/', pathNot: `^${floor}/` }, outer),
    ...rule('inside', { path: `^${floor}/`, pathNot: `^${room}/[^/]+$` }, [...outer, ...inner]),
  ];
});

const gate = (name, to, only, comment) => ({
  name: `gate-${name}`,
  comment,
  severity: 'error',
  from: { path: '^src/', pathNot: only },
  to: { path: to },
});

const packagePath = (name) => `(^|/)node_modules/${name}/`;

module.exports = {
  forbidden: [
    ...upwards,
    ...doorRules,
    {
      name: 'libc-stands-on-lib',
      comment: 'libc/ is a thin gate to system calls; it knows nothing of volumes or mounts.',
      severity: 'error',
      from: { path: '^src/libc/' },
      to: { path: '^src/', pathNot: '^src/(libc|lib)/' },
    },
    {
      name: 'libc-has-few-callers',
      comment: 'Pure layers and the name space make no system calls, so that tests need no kernel.',
      severity: 'error',
      from: { path: directory(['lib', 'measure', 'format', 'tree', 'control']) },
      to: { path: '^src/libc/' },
    },
    gate(
      'lmdb',
      packagePath('lmdb'),
      '^src/store/',
      'Only store/ knows LMDB: its shared read buffers and transactions have rules of their own.',
    ),
    gate(
      'koffi',
      packagePath('koffi'),
      '^src/libc/',
      'A wrong signature corrupts memory: they all stand in libc/, where they are tested.',
    ),
    gate(
      'fuse-native',
      packagePath('fuse-native'),
      '^src/fuse-native/',
      'Its limits must not leak: only its own driver loads it, and only when asked for.',
    ),
    gate(
      'sockets',
      '^(node:)?(net|tls|dgram|http|https|http2)$',
      '^src/sync/transport',
      'Everything but the transport runs under a simulated network.',
    ),
    gate(
      'debug',
      packagePath('debug'),
      '^src/lib/log\\.ts$',
      'One place decides the names of log channels.',
    ),
    gate(
      'terminal',
      packagePath('(commander|cli-progress)'),
      '^src/cli/',
      'Only the command line talks to a terminal.',
    ),
    {
      name: 'no-cycles',
      comment:
        'Files that need each other are one file, or lack a third. (Types alone may refer to each other: they are gone at run time.)',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-development-packages',
      comment: 'What runs for a user must be there without the development packages.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '/@types/' },
    },
    {
      name: 'resolvable',
      comment: 'An import that leads nowhere fails at run time.',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-tests-in-sources',
      comment: 'The product never imports its tests.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^test/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
};
