/**
 * What the sync gets from outside: messages, time, randomness. The same code
 * runs over connections to peers and in a simulation with virtual time, loss,
 * duplication, reordering, partitions and crashes.
 *
 * Doors: fabric.
 */

/**
 * Sends to the selected peers, possibly also to the sender itself, and delivers their messages.
 * Messages may get lost, come twice, late or out of order.
 */
export interface Fabric<Message> {
  send(to: readonly string[], message: Message): void;
  /** Called for every message that arrives, with who sent it. */
  receive(handler: (from: string, message: Message) => void): void;
}

/** Time in milliseconds from anywhere; it never goes back. */
export interface Timers {
  nowMs(): number;
  /** Runs `action` once, later; returns what calls it off. */
  after(delayMs: number, action: () => void): () => void;
}
