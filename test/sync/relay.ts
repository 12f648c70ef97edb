/**
 * A wire between two machines of a test: passes TCP connections on, and can be
 * slow, break after so many bytes, or swallow everything without a word.
 * What it has carried is counted.
 */
import net from 'node:net';
import { pause } from '../mount/harness.js';

export interface Place {
  host: string;
  port: number;
}

export class Relay {
  /** From the side that was dialled to the one that dialled: where snapshots travel. */
  bytesDown = 0;
  /** Each piece is held back for so long at most, at random. */
  delayMs = 0;
  cuts = 0;
  readonly #server: net.Server;
  readonly #open = new Set<net.Socket>();
  #cutAt = Number.POSITIVE_INFINITY;
  #isSilent = false;
  #isOneWay = false;
  #wake: () => void = () => undefined;
  #silence: Promise<void> = Promise.resolve();

  private constructor(
    readonly to: Place,
    readonly random: () => number,
  ) {
    this.#server = net.createServer({ allowHalfOpen: false }, (near) => this.#pass(near));
  }

  static async open(from: Place, to: Place, random: () => number): Promise<Relay> {
    const relay = new Relay(to, random);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject);
      relay.#server.listen(from.port, from.host, resolve);
    });
    return relay;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** The connection breaks when exactly so many more bytes have come down. */
  cutAfter(bytes: number): void {
    this.#cutAt = this.bytesDown + bytes;
  }

  cut(): void {
    this.cuts++;
    for (const socket of this.#open) socket.resetAndDestroy();
  }

  /**
   * Nothing passes, and nobody is told; afterwards everything goes on. `isOneWay`: what goes up
   * passes all the same.
   */
  silent(isSilent: boolean, isOneWay = false): void {
    this.#isOneWay = isOneWay;
    if (this.#isSilent === isSilent) return;
    this.#isSilent = isSilent;
    if (!isSilent) this.#wake();
    else
      this.#silence = new Promise((resolve) => {
        this.#wake = resolve;
      });
  }

  close(): void {
    this.silent(false);
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
  }

  #pass(near: net.Socket): void {
    const far = net.connect(this.to.port, this.to.host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#open.delete(socket);
        other.destroy();
      });
    }
    void this.#carry(near, far, false);
    void this.#carry(far, near, true);
  }

  async #carry(from: net.Socket, to: net.Socket, isDown: boolean): Promise<void> {
    try {
      for await (const data of from) {
        let chunk = data as Buffer;
        if (this.delayMs > 0) await pause(this.random() * this.delayMs);
        if (isDown || !this.#isOneWay) await this.#silence;
        const left = this.#cutAt - this.bytesDown;
        const isCut = isDown && left <= chunk.length;
        if (isCut) chunk = chunk.subarray(0, left);
        if (isDown) this.bytesDown += chunk.length;
        if (to.destroyed) return;
        const isTaken = to.write(chunk);
        if (isCut) {
          this.#cutAt = Number.POSITIVE_INFINITY;
          // What was passed on arrives before the reset does.
          await pause(20);
          this.cut();
          return;
        }
        if (!isTaken) await drained(to);
      }
      to.end();
    } catch {
      // Both ends are closed together.
    }
  }
}

function drained(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve);
    socket.once('close', () => resolve());
  });
}
