/**
 * Machines of a test, as far as the network goes: a network namespace for
 * each, joined to this process by a pair of interfaces of its own. They do not
 * reach each other, but through what this process passes on.
 *
 * What must hold: however the test ends, they are taken away: should this
 * process be killed, by a process that notices.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';

export class Namespaces {
  readonly #id: string;
  readonly #names: readonly string[];
  readonly #watcher: Socket;

  constructor(names: readonly string[]) {
    this.#id = `shadow${process.pid}`;
    this.#names = names;
    const watcher = spawn('bash', ['-c', `cat > /dev/null\n${this.#removal()}`], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    watcher.unref();
    this.#watcher = watcher.stdin as Socket;
    this.#watcher.unref();
    for (const [i, name] of names.entries()) {
      const space = this.space(name);
      const outside = this.#link(i);
      sh(`
        ip netns add ${space}
        ip link add ${outside} type veth peer name wire netns ${space}
        ip addr add ${this.near(name)}/30 dev ${outside}
        ip link set ${outside} up
        ip -n ${space} addr add ${this.far(name)}/30 dev wire
        ip -n ${space} link set wire up
        ip -n ${space} link set lo up`);
    }
  }

  #removal(): string {
    return this.#names
      .map((name, i) => `ip netns del ${this.space(name)}; ip link del ${this.#link(i)}`)
      .join('\n');
  }

  space(name: string): string {
    return `${this.#id}-${name}`;
  }

  #link(index: number): string {
    return `sh${process.pid}-${index}`;
  }

  /** Of the block for measurements between networks (RFC 2544), which nobody routes. */
  #address(name: string, last: number): string {
    const number = (process.pid % 8192) * 8 + this.#names.indexOf(name);
    return `198.${18 + (number >> 14 > 1 ? 1 : 0)}.${(number >> 6) & 255}.${(number & 63) * 4 + last}`;
  }

  /** Where this process is reached from the namespace. */
  near(name: string): string {
    return this.#address(name, 1);
  }

  far(name: string): string {
    return this.#address(name, 2);
  }

  /** Words in front of a command that shall run there. It sees the same files and mounts. */
  inside(name: string): string[] {
    return ['nsenter', `--net=/run/netns/${this.space(name)}`];
  }

  /** As if the cable was pulled, or put in again. */
  setLink(name: string, isUp: boolean): void {
    sh(`ip -n ${this.space(name)} link set wire ${isUp ? 'up' : 'down'}`);
  }

  remove(): void {
    spawnSync('bash', ['-c', this.#removal()], { stdio: 'ignore' });
    this.#watcher.end();
  }
}

function sh(script: string): void {
  const ran = spawnSync('bash', ['-ec', script], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`${script}\n${ran.stderr}`);
}
