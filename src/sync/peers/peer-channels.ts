/**
 * The two kinds of messages that share the links to peers: those of the sync
 * agent and those of group saves. Each kind gets its own fabric.
 *
 * The directors of a group save talk to each other, but may not be peers of
 * each other. The initiator is everybody's peer: it passes on their messages
 * about its own points, and no others.
 */
import type { CallMessage } from '../agent/calls.js';
import type { Fabric } from '../fabric.js';
import type { GroupMessage } from '../group/group-messages.js';
import { isGroupMessage } from '../group/group-parsing.js';

interface GroupEnvelope {
  message: GroupMessage;
  /** Pass the message on to these. */
  to?: readonly string[];
  /** Passed on for this volume. */
  by?: string;
}

export type PeerMessage = { agent: CallMessage } | { group: GroupEnvelope };

/** The links, and the volumes at their other ends. */
interface Links extends Fabric<PeerMessage> {
  isUp(peer: string): boolean;
}

type Handler<Message> = (from: string, message: Message) => void;

export class PeerChannels {
  #agentHandler: Handler<CallMessage> | undefined;
  #groupHandler: Handler<GroupMessage> | undefined;
  readonly #self: string;
  readonly #links: Links;

  constructor(self: string, links: Links) {
    this.#self = self;
    this.#links = links;
    links.receive((from, message) => this.#receive(from, message));
  }

  get agent(): Fabric<CallMessage> {
    return {
      send: (to, message) => this.#links.send(to, { agent: message }),
      receive: (handler) => {
        this.#agentHandler = handler;
      },
    };
  }

  get group(): Fabric<GroupMessage> {
    return {
      send: (to, message) => this.#sendGroup(to, message),
      receive: (handler) => {
        this.#groupHandler = handler;
      },
    };
  }

  #isNear(peer: string): boolean {
    return peer === this.#self || this.#links.isUp(peer);
  }

  #sendGroup(to: readonly string[], message: GroupMessage): void {
    const near = to.filter((peer) => this.#isNear(peer));
    if (near.length > 0) this.#links.send(near, { group: { message } });
    const far = to.filter((peer) => !this.#isNear(peer));
    const initiator = initiatorOf(message);
    if (far.length === 0 || initiator === undefined || initiator === this.#self) return;
    this.#links.send([initiator], { group: { message, to: far } });
  }

  #receive(from: string, received: PeerMessage): void {
    // A sender of an unknown kind has a newer version: its message counts as lost.
    if (typeof received !== 'object' || received === null) return;
    if ('agent' in received) this.#agentHandler?.(from, received.agent);
    else if ('group' in received) this.#receiveGroup(from, received.group);
  }

  #receiveGroup(from: string, envelope: GroupEnvelope): void {
    if (typeof envelope !== 'object' || envelope === null) return;
    const { message, to, by } = envelope;
    if (!isGroupMessage(message)) return;
    if (Array.isArray(to)) {
      if (initiatorOf(message) !== this.#self) return;
      const near = to.filter((peer) => peer !== this.#self && this.#isNear(peer));
      if (near.length > 0) this.#links.send(near, { group: { message, by: from } });
    } else if (typeof by === 'string') {
      if (initiatorOf(message) === from) this.#groupHandler?.(by, message);
    } else this.#groupHandler?.(from, message);
  }
}

/** The initiator of the message's point: the point's key begins with its name. */
function initiatorOf(message: GroupMessage): string | undefined {
  return 'about' in message ? message.about.split('/')[0] : undefined;
}
