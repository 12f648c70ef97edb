/**
 * What ordinary work costs in requests of the kernel: counts, which no other
 * load on the machine changes. A row that needs more than its table says is a
 * regression; one that needs less should get the new numbers. The table is of
 * Linux 6.18; other kernels ask for other things.
 */
import os from 'node:os';
import t from 'tap';
import { asUser, isNative, type World } from './harness.js';

const FILES = 100;

/** Of any kind beyond the table: a directory's attributes may run out once in a row. */
const SLACK = 2;
const KERNEL = [6, 18] as const;

/** Not counted: when the kernel forgets depends on its memory, when it asks for space on others. */
const UNSTEADY = new Set(['FORGET', 'BATCH_FORGET', 'STATFS', 'INIT', 'INTERRUPT', 'DESTROY']);

interface Row {
  title: string;
  /** Python; `files` are the paths of all files in `d`. */
  work: string;
  /** Requests for all files together, at most. */
  atMost: Record<string, number>;
}

const PRELUDE = `
import os, shutil, subprocess
d = os.path.join(os.environ['MNT'], 'd')
files = [os.path.join(d, 'f%d' % i) for i in range(${FILES})]
def write(path, flags, data):
    fd = os.open(path, os.O_WRONLY | flags)
    os.write(fd, data)
    os.close(fd)
def read(path):
    fd = os.open(path, os.O_RDONLY)
    while os.read(fd, 131072): pass
    os.close(fd)
`;

const OWN: Row[] = [
  {
    title: 'make a directory and empty files',
    work: `os.mkdir(d)
for f in files: os.close(os.open(f, os.O_CREAT | os.O_EXCL | os.O_WRONLY))`,
    atMost: { LOOKUP: 101, MKNOD: 100, GETATTR: 100, MKDIR: 1 },
  },
  {
    title: 'state them',
    work: `for f in files: os.stat(f)`,
    atMost: { GETATTR: 1 },
  },
  {
    title: 'state them again',
    work: `for f in files: os.stat(f)`,
    atMost: {},
  },
  {
    title: 'ask for names that are not there',
    work: `for f in files: os.path.exists(f + '.no')`,
    atMost: { LOOKUP: 100 },
  },
  {
    title: 'ask for them again',
    work: `for f in files: os.path.exists(f + '.no')`,
    atMost: {},
  },
  {
    title: 'open and close them',
    work: `for f in files: os.close(os.open(f, os.O_RDONLY))`,
    atMost: {},
  },
  {
    title: 'list them',
    work: `os.listdir(d)`,
    atMost: { READDIRPLUS: 2 },
  },
  {
    title: 'write 1,000 bytes into each',
    work: `for f in files: write(f, os.O_TRUNC, b'x' * 1000)`,
    atMost: { GETXATTR: 200, WRITE: 100, SETATTR: 100 },
  },
  {
    title: 'write new files of 1,000 bytes',
    work: `for f in files: write(f + '.new', os.O_CREAT | os.O_EXCL, b'x' * 1000)`,
    atMost: { WRITE: 100, GETXATTR: 100, LOOKUP: 100, MKNOD: 100, GETATTR: 99 },
  },
  {
    title: 'put each in place of an old one',
    work: `for f in files: os.rename(f + '.new', f)`,
    atMost: { RENAME: 100, LOOKUP: 100, GETATTR: 100 },
  },
  {
    title: 'append a line to each',
    work: `for f in files: write(f, os.O_APPEND, b'line')`,
    atMost: { WRITE: 100, GETATTR: 1 },
  },
  {
    title: 'read them',
    work: `for f in files: read(f)`,
    atMost: { READ: 100, GETATTR: 100 },
  },
  {
    title: 'read them again',
    work: `for f in files: read(f)`,
    atMost: {},
  },
  {
    title: 'change modes and times',
    work: `for f in files:
    os.chmod(f, 0o600)
    os.utime(f, (1, 1))`,
    atMost: { SETATTR: 200 },
  },
  {
    title: 'copy the directory',
    work: `subprocess.run(['cp', '-r', d, d + '.copy'], check=True)`,
    atMost: {
      LOOKUP: 102,
      COPY_FILE_RANGE_64: 100,
      GETATTR: 100,
      MKNOD: 100,
      GETXATTR: 100,
      READDIRPLUS: 2,
      MKDIR: 1,
    },
  },
  {
    title: 'extract an archive',
    work: `subprocess.run(['tar', '-C', os.environ['WORLD'], '-cf', os.environ['WORLD'] + '/a.tar', '-C', d, '.'], check=True)
os.mkdir(d + '.tar')
subprocess.run(['tar', '-C', d + '.tar', '-xf', os.environ['WORLD'] + '/a.tar'], check=True)`,
    atMost: {
      WRITE: 105,
      GETATTR: 102,
      SETATTR: 101,
      LOOKUP: 101,
      MKNOD: 100,
      GETXATTR: 100,
      MKDIR: 1,
    },
  },
  {
    title: 'find by size',
    work: `subprocess.run(['find', d, '-size', '+1M'], check=True)`,
    atMost: {},
  },
  {
    title: 'remove them',
    work: `for f in files: os.unlink(f)`,
    atMost: { UNLINK: 100, GETATTR: 99 },
  },
  {
    title: 'remove trees',
    work: `shutil.rmtree(d + '.copy')
shutil.rmtree(d + '.tar')`,
    atMost: { GETATTR: 201, UNLINK: 200, READDIRPLUS: 4, RMDIR: 2 },
  },
  {
    title: 'write 8 MiB in pieces of 64 KiB',
    work: `with open(d + '/large', 'wb', buffering=0) as o:
    for i in range(128): o.write(b'x' * 65536)`,
    atMost: { WRITE: 128, LOOKUP: 1, MKNOD: 1, GETXATTR: 1, GETATTR: 1 },
  },
  {
    title: 'write 4 KiB at 100 places, and fsync',
    work: `fd = os.open(d + '/large', os.O_RDWR)
for i in range(100): os.pwrite(fd, b'y' * 4096, (i * 37 % 2048) * 4096)
os.fsync(fd)
os.close(fd)`,
    atMost: { WRITE: 100, FSYNC: 1, GETATTR: 1 },
  },
  {
    title: 'read 8 MiB',
    work: `read(d + '/large')`,
    atMost: { GETATTR: 1 },
  },
];

async function counted(world: World, work: string): Promise<Record<string, number>> {
  await world.sh('echo reset > "$MNT/.control/stats"');
  await world.sh(`python3 -c "$WORK"`, { env: { WORK: PRELUDE + work } });
  const report = JSON.parse(await world.sh('cat "$MNT/.control/stats"')) as {
    requests: { name: string; count: number }[];
  };
  const counts = report.requests.filter(({ name }) => !UNSTEADY.has(name));
  return Object.fromEntries(counts.map(({ name, count }) => [name, count]));
}

function isOfTable(): boolean {
  const [major = 0, minor = 0] = os.release().split('.').map(Number);
  return major === KERNEL[0] && minor === KERNEL[1];
}

if (!isNative) {
  asUser(t, 'requests of ordinary work', async (t, world) => {
    await world.mount(['--no-base', 'mnt']);
    for (const { title, work, atMost } of OWN) {
      const counts = await counted(world, work);
      const tooMany = Object.entries(counts).filter(
        ([name, count]) => count > (atMost[name] ?? 0) + SLACK,
      );
      if (isOfTable()) t.same(Object.fromEntries(tooMany), {}, `${title}: ${text(atMost)}`);
      else t.comment(`${title}: ${text(counts)}; on Linux 6.18 ${text(atMost)}`);
    }
  });
}

function text(counts: Record<string, number>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
