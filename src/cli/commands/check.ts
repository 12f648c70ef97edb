/** `shadowfs check` */
import type { Command } from 'commander';
import type { Answer } from '../../control/command.js';
import type { Finding } from '../../daemon/commands/inspect.js';
import type { InspectRequest } from '../../daemon/commands/command-parts.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { counted, EXIT_FAILURE, printable, printJson, printLine } from '../output.js';
import { Progress, withProgress } from '../progress.js';
import { findTarget, type Target } from '../target.js';

/** Runs an inspection in the process that has the volume: the one of its mount, or this one. */
export async function inspect(target: Target, request: InspectRequest): Promise<Answer> {
  const { command, args } = request;
  if (target.kind === 'mounted') {
    const options: Record<string, string> = {};
    if (args.to !== undefined) options['to'] = args.to;
    if (command === 'apply' || command === 'freeze' || command === 'merge')
      options['preview'] = 'yes';
    if (args.resolve !== undefined) options[args.resolve] = 'yes';
    if (args.limit !== undefined) options['limit'] = String(args.limit);
    if (args.paths !== undefined) options['path'] = args.paths.join('//');
    if (args.branch !== undefined) options['branch'] = args.branch;
    if (args.copies !== undefined) options['copies'] = args.copies;
    if (args.names !== undefined) options['names'] = args.names.join('/');
    if (args.branches !== undefined) options['branch'] = args.branches.join('/');
    if (args.files !== undefined) options['files'] = String(args.files);
    if (args.fold === true) options['fold'] = 'yes';
    return await withProgress(
      command,
      target.control,
      target.control.run(command, args.name, options),
    );
  }
  // Loaded only when needed: opening a store is most of a command's start-up time.
  const { inspectVolume } = await import('../../daemon/commands/inspect.js');
  const progress = new Progress(command, 'count');
  try {
    const answer = inspectVolume({ volume: target.volume }, request, (done, total) =>
      progress.update(done, total),
    );
    return { ok: true, command, ...answer };
  } finally {
    progress.stop();
  }
}

export function addCheck(program: Command): void {
  withMountpoint(
    program
      .command('check')
      .summary('check every rule of the stored volume')
      .description('check every rule of the stored volume; exit code 1 when something is wrong'),
    'shadowfs check',
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const target = await findTarget(at(options, mountpoint));
      const answer = await inspect(target, { command: 'check', args: {} });
      const findings = (answer['findings'] ?? []) as Finding[];
      const damage = Number(answer['damageCount'] ?? 0);
      if (options.json) printJson(answer);
      else {
        for (const { kind, rule, what, where } of findings) {
          printLine(printable(`${kind === 'base' ? 'base changed' : rule}: ${where}: ${what}`));
        }
        const place = target.kind === 'mounted' ? target.mount.mountpoint : target.volume;
        printLine(`${place}: ${damage === 0 ? 'no errors' : counted(damage, 'error')} found`);
      }
      // A changed base directory is worth a line, but the volume is sound.
      if (damage > 0) process.exitCode = EXIT_FAILURE;
    }),
  );
}
