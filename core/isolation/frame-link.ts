import type { Duplex } from "node:stream";
import { encodeFrame, type FrameLimits, FrameReader } from "./frames.js";

/** How long messages are, in both directions, by what they are. */
export interface LinkLimits {
  readonly sent: (message: unknown) => FrameLimits;
  /** What none that comes is longer than. */
  readonly most: FrameLimits;
  readonly received: (message: unknown) => FrameLimits;
}

/** Sends and receives frames over a connection. */
export class FrameLink {
  readonly #reader: FrameReader;
  #draining: Promise<void> | null = null;

  /**
   * @param onMessage Called for each message, in order. What it throws ends the connection.
   * @param onClosed Called once, with what was wrong or `null`.
   */
  constructor(
    private readonly connection: Duplex,
    private readonly limits: LinkLimits,
    onMessage: (message: unknown) => void,
    onClosed: (problem: Error | null) => void,
  ) {
    this.#reader = new FrameReader(limits.most, limits.received);
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
    const frame = encodeFrame(message, this.limits.sent(message));
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
