/**
 * Sends a stream into a mounted volume through its control file; the process
 * that serves the mount receives it while programs continue.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Answer } from '../../control/command.js';
import { fromJson } from '../../format/text/json-text.js';
import { errorOfAnswer, type ControlClient } from '../control-client.js';

/** Size of one write to the control file system. */
const PIECE_BYTES = 1024 * 1024;

export class MountedReceiver {
  private constructor(readonly file: FileHandle) {}

  static async open(control: ControlClient, force: boolean): Promise<MountedReceiver> {
    const path = join(control.directory, 'receive');
    const file = await control.attempt(() => open(path, constants.O_RDWR));
    await file.write(force ? 'force=yes by=cli\n' : 'by=cli\n');
    return new MountedReceiver(file);
  }

  /**
   * Returns when the bytes are received. Throws CommandError, with a token if
   * the stream can be resumed.
   */
  async push(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      const piece = chunk.subarray(at, at + PIECE_BYTES);
      try {
        await this.file.write(piece);
      } catch (error) {
        await this.answers();
        throw error;
      }
    }
  }

  /** Ends the input and returns the result of each stream. Throws CommandError. */
  async answers(): Promise<Answer[]> {
    const text = await this.#text();
    const answers = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => fromJson(line) as Answer);
    const failed = answers.find(({ ok }) => ok !== true);
    if (failed !== undefined) throw errorOfAnswer(failed);
    return answers;
  }

  async #text(): Promise<string> {
    const chunks: Buffer[] = [];
    for (let position = 0; ; ) {
      const { bytesRead, buffer } = await this.file.read(
        Buffer.alloc(PIECE_BYTES),
        0,
        PIECE_BYTES,
        position,
      );
      if (bytesRead === 0) return Buffer.concat(chunks).toString();
      chunks.push(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}
