import type { Duplex } from "node:stream";
import { encodeFrame, FrameReader } from "./frames.js";

/** Sends and receives frames over a connection. */
export class FrameLink {
  readonly #reader = new FrameReader();
  #draining: Promise<void> | null = null;

  /**
   * @param onMessage Called for each message, in order. What it throws ends the connection.
   * @param onClosed Called once, with what was wrong or `null`.
   */
  constructor(
    private readonly connection: Duplex,
    onMessage: (message: unknown) => void,
    onClosed: (problem: Error | null) => void,
  ) {
    let problem: Error | null = null;
    connection.on("data", (bytes: Buffer) => {
      try {
        for (const message of this.#reader.read(bytes)) onMessage(message);
      } catch (error) {
        connection.destroy(error as Error);
      }
    });
    connection.on("error", (error) => (problem = error));
    connection.once("close", () => onClosed(problem));
    connection.once("end", () => connection.destroy());
  }

  /**
   * Sends one message, and waits while the other side is behind.
   * @throws {MezError} as `encodeFrame`; a message to a connection that is closed is dropped
   */
  async send(message: unknown): Promise<void> {
    const frame = encodeFrame(message);
    while (this.connection.writableNeedDrain && !this.connection.destroyed) await this.#drained();
    if (!this.connection.destroyed) this.connection.write(frame);
  }

  close(): void {
    this.connection.destroy();
  }

  /** One wait for all who send. */
  #drained(): Promise<void> {
    this.#draining ??= new Promise((resolve) => {
      const done = (): void => {
        this.connection.off("drain", done).off("close", done);
        this.#draining = null;
        resolve();
      };
      this.connection.on("drain", done).on("close", done);
    });
    return this.#draining;
  }
}
