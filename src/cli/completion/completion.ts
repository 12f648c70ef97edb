/** `shadowfs completion bash | zsh | fish` */
import type { Command } from 'commander';
import { withExamples } from '../options.js';
import { oneOf } from '../values.js';
import { bashScript } from './bash.js';
import { fishScript } from './fish.js';
import { type Shape, shapesOf } from './shapes.js';
import { zshScript } from './zsh.js';

const SCRIPTS: Readonly<Record<string, (shapes: readonly Shape[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

const EXAMPLES = `
shadowfs completion bash > ~/.local/share/bash-completion/completions/shadowfs
shadowfs completion zsh > ~/.zfunc/_shadowfs
shadowfs completion fish > ~/.config/fish/completions/shadowfs.fish
For zsh, ~/.zfunc must be on fpath before compinit runs. mount-scripts/install and the Debian package
install all three.`;

export function addCompletion(program: Command): void {
  withExamples(
    program
      .command('completion')
      .argument('<shell>', Object.keys(SCRIPTS).join(', '), oneOf(...Object.keys(SCRIPTS)))
      .summary('print the completion script of a shell')
      .description(
        'print a script with which the shell completes commands, options, and the names of ' +
          'snapshots, peers, volumes and mountpoints',
      ),
    EXAMPLES,
  ).action((shell: string) => {
    process.stdout.write(SCRIPTS[shell]?.(shapesOf(program)) ?? '');
  });
}
