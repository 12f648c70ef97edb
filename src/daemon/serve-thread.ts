/**
 * Entry of the serving thread: puts the volume, the tree, the control files and
 * the loop together, and serves until the mount is gone. This thread never goes
 * back to the event loop while it serves; all it hears comes through the loop.
 */
import { workerData } from 'node:worker_threads';
import { Deferred } from '../base/deferred.js';
import { FsError } from '../base/errors.js';
import type { Answer, CommandArguments, CommandName } from '../control/command.js';
import { ControlFiles } from '../control/control-files.js';
import { parsePretence } from '../fuse/pretence.js';
import { HelperClient, SessionNotifier } from '../fuse/helper-client.js';
import { quiesce } from '../fuse/quiesce.js';
import { ServeLoop } from '../fuse/serve-loop.js';
import { FuseSession } from '../fuse/session.js';
import { byteStringOfText } from '../format/grammar.js';
import { markIoFlusher } from '../libc/libc.js';
import type { CoherenceJob, CoherenceReport } from '../tree/coherence.js';
import { Tree } from '../tree/tree.js';
import type { View } from '../volume/view.js';
import type { Volume } from '../volume/volume.js';
import { type InspectRequest, VolumeCommands } from './commands.js';
import { log } from './log.js';
import {
  type FromServer,
  fromPlainError,
  type ServeData,
  toPlainError,
  type ToServer,
} from './messages.js';
import { openVolume } from './open-volume.js';
import { mountState } from './state.js';
import { step } from './steps.js';

const { plan, port, helpers: helperPorts, wakeFd, uid, gid } = workerData as ServeData;

function post(message: FromServer): void {
  port.postMessage(message);
}

class Server {
  readonly #volume: Volume;
  readonly #pretence = parsePretence(process.env['SHADOWFS_PRETEND']);
  readonly #loop = new ServeLoop({ wakeFd });
  readonly #helpers = new HelperClient(this.#loop, helperPorts);
  readonly #commands: VolumeCommands<View>;
  readonly #tree: Tree;
  readonly #control: ControlFiles;
  readonly #inspections = new Map<number, Deferred<Answer>>();
  #nextInspection = 1;
  #session: FuseSession | undefined;

  constructor(volume: Volume) {
    this.#volume = volume;
    this.#commands = new VolumeCommands<View>({
      volume,
      quiesce: () => this.#quiesce(),
      restored: (from, to) => this.#restored(from, to),
      inspect: (request) => this.#inspect(request),
      nowMs: () => performance.now(),
      log,
    });
    this.#tree = new Tree(volume, {
      commands: {
        save: (name, source) => this.#run('save', { name }, source),
        delete: (name, source) => this.#run('delete', { name }, source),
        rename: (name, to, source) => this.#run('rename', { name, to }, source),
      },
      quiesce: () => this.#quiesce(),
      ownerUid: uid,
      readOnly: plan.options.readOnly,
      controlTarget: byteStringOfText(plan.controlMount),
    });
    this.#control = new ControlFiles({
      uid,
      gid,
      commands: this.#commands,
      state: mountState({
        plan,
        volume,
        commands: this.#commands,
        tree: this.#tree,
        session: () => this.#session,
      }),
      nowMs: () => Date.now(),
    });
  }

  #run(command: CommandName, args: CommandArguments, source: string): Deferred<unknown> {
    return step(this.#commands.run(command, args, source), (answer): unknown => answer);
  }

  /** Returns when the mount is gone, or on request. */
  serve(): void {
    this.#loop.onPort(port, (message) => this.#handle(message as ToServer));
    this.#loop.onWake(() => this.#volume.pump());
    this.#tick();
    this.#volume.mayBlock = false;
    post({ kind: 'opened' });
    this.#loop.run();
    this.#volume.mayBlock = true;
    this.#helpers.close();
  }

  #tick(): void {
    this.#loop.addTimer(this.#volume.tick(Date.now()), () => this.#tick());
  }

  #handle(message: ToServer): void {
    switch (message.kind) {
      case 'mounted':
        this.#mounted(message.fd, message.controlFd);
        break;
      case 'save':
        this.#commands.run('save', {}, 'signal').settled(
          (answer) => log(`saved as ${String(answer['name'])}`),
          () => undefined,
        );
        break;
      case 'store':
        this.#commands.storeAll().settled(
          () => post({ kind: 'stored' }),
          (error) => post({ kind: 'stored', error: toPlainError(error) }),
        );
        break;
      case 'stop':
        this.#loop.stop();
        break;
      case 'inspect-progress':
        this.#commands.inspectProgress(message.done, message.total);
        break;
      case 'inspected': {
        const waiting = this.#inspections.get(message.id);
        this.#inspections.delete(message.id);
        if (message.error !== undefined) waiting?.reject(fromPlainError(message.error));
        else waiting?.resolve(message.answer ?? {});
        break;
      }
    }
  }

  #mounted(fd: number, controlFd: number): void {
    const control = new FuseSession(controlFd, this.#control, {
      name: 'control',
      // Errors of `write` must be those of `write`, and each open has its own content.
      pretence: { ...this.#pretence, writeback: false, noOpen: false },
      log,
    });
    this.#loop.addSession(control, () => log('the control files have been unmounted'));
    const session = new FuseSession(fd, this.#tree, {
      name: 'mount',
      acls: true,
      pretence: plan.options.writeback ? this.#pretence : { ...this.#pretence, writeback: false },
      warmer: this.#helpers,
      setMayBlock: (mayBlock) => {
        this.#volume.mayBlock = mayBlock;
      },
      onInit: ({ writeback, acls }) => {
        this.#tree.writeback = writeback;
        this.#tree.acls = acls;
        post({ kind: 'ready' });
      },
      log,
    });
    this.#session = session;
    this.#tree.notifier = new SessionNotifier(this.#helpers, session, log);
    this.#loop.addSession(session, () => {
      log(`the mount has ended: ${session.ended}`);
      this.#loop.stop();
    });
  }

  #quiesce(): Deferred<void> {
    const session = this.#session;
    if (session !== undefined) return quiesce(this.#loop, session, this.#helpers, plan.mountpoint);
    const never = new Deferred<void>();
    never.reject(new FsError('ENODEV', 'quiesce', plan.mountpoint));
    return never;
  }

  #restored(from: View, to: View): () => Deferred<Answer> {
    const transition = this.#tree.transition(from, to);
    return () => {
      const done = new Deferred<Answer>();
      runCoherence(this.#loop, this.#tree.coherence(transition), (report) =>
        done.resolve({ coherence: report }),
      );
      return done;
    };
  }

  #inspect(request: InspectRequest): Deferred<Answer> {
    const answer = new Deferred<Answer>();
    const id = this.#nextInspection++;
    this.#inspections.set(id, answer);
    post({ kind: 'inspect', id, request });
    return answer;
  }
}

/** Runs the job in the loop's spare time; where it waits for an answer, the loop goes on without it. */
function runCoherence(
  loop: ServeLoop,
  job: CoherenceJob,
  done: (report: CoherenceReport) => void,
): void {
  function* slices(): Generator<undefined> {
    for (;;) {
      const next = job.next();
      if (next.done === true) {
        done(next.value);
        return;
      }
      if (next.value !== undefined) {
        const goOn = (): void => void loop.addJob(slices());
        // A notification that could not be sent leaves the kernel to its time-outs; the rest goes on.
        next.value.settled(goOn, goOn);
        return;
      }
      yield undefined;
    }
  }
  loop.addJob(slices());
}

// The kernel may wait for this thread while memory is short. Only root may ask for it.
markIoFlusher();
let volume: Volume | undefined;
try {
  volume = openVolume(plan, { uid, gid, wakeFd });
} catch (error) {
  post({ kind: 'failed', error: toPlainError(error) });
}
if (volume !== undefined) {
  new Server(volume).serve();
  try {
    volume.close();
    post({ kind: 'ended' });
  } catch (error) {
    post({ kind: 'ended', error: toPlainError(error) });
  }
}
