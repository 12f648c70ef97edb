/**
 * The lines that hold the architecture: imports point downwards only, and each
 * dangerous package has one gate. Every rule says why it is there.
 */

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
