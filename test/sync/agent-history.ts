/** One simulated history of agents: people at work and in trouble, in bad weather, with stops and cuts. */
import { type AgentMachine, AgentWorld } from './agent-world.js';

function happen(world: AgentWorld, isBad: boolean): void {
  const { random, machines, network, time } = world;
  const machine: AgentMachine = random.pick(machines);
  const other: AgentMachine = random.pick(machines);
  const what = random.below(isBad ? 100 : 62);
  if (what < 25) {
    for (const one of machines) one.write();
  } else if (what < 45) {
    for (const one of machines) if (one.disk.role.role === 'primary') one.save();
  } else if (what < 48) machine.save();
  else if (what < 56) {
    const { snapshots } = machine.disk;
    if (snapshots.length > 0) machine.delete(random.pick(snapshots).uuid, random.chance(0.1));
  } else if (what < 60) world.command('sync', () => machine.agent?.syncNow());
  else if (what < 62) world.command('revert', () => machine.agent?.switchOver());
  else if (what < 66) world.command('promote', () => machine.agent?.promote(random.chance(0.3)));
  else if (what < 70) world.command('demote', () => machine.agent?.demote(other.name));
  else if (what < 74) world.command('revert', () => machine.agent?.switchOver());
  else if (what < 82) machine.stop();
  else if (what < 88) {
    machine.stopAt = { step: random.pick(world.steps), isAfter: random.chance(0.5) };
  } else if (what < 96) {
    const pair = `${machine.name} ${other.name}`;
    network.cut.add(pair);
    time.after(random.between(1000, 120_000), () => network.cut.delete(pair));
  } else {
    machine.isFull = true;
    time.after(random.between(1000, 60_000), () => {
      machine.isFull = false;
    });
  }
}

/** Returns what broke. */
export async function agentHistory(seed: number): Promise<{ broken?: string; world: AgentWorld }> {
  const world = new AgentWorld(seed, 2 + (seed % 6));
  const { random, time, network } = world;
  const isBad = random.chance(0.85);
  if (isBad) {
    network.weather = {
      lost: random.pick([0, 5, 30]),
      doubled: random.pick([0, 20]),
      delayMinMs: 1,
      delayMaxMs: random.pick([3, 50, 2000]),
    };
    world.slowness = random.pick([0.05, 0.3]);
  }
  for (let i = random.between(20, 80); i > 0; i--) {
    happen(world, isBad);
    await time.run(time.nowMs + random.pick([0, 10, 500, 5000, 30_000]));
  }
  await world.settle();
  const broken = world.broken();
  return broken === undefined ? { world } : { broken, world };
}
