import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { MezError, messageOf } from "../../../core/errors/error.js";
import type { SyslogTransport } from "./syslog-forwarder.js";

/** Opens a connection; it need not be established yet. */
export type Connect = () => { readonly socket: Socket; readonly established: "connect" | "secureConnect" };

/** Files in PEM; empty for none. Read again for each connection. */
export interface TlsFiles {
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** @see RFC 6587 */
export function overTcp(host: string, port: number): Connect {
  return () => ({ socket: connectTcp({ host, port }), established: "connect" });
}

/** The certificate of the receiver must be valid for `host`. @see RFC 5425 */
export function overTls(host: string, port: number, files: TlsFiles): Connect {
  const read = (path: string) => (path === "" ? undefined : readFileSync(path));
  return () => ({
    socket: connectTls({
      ...{ host, port, servername: isIP(host) === 0 ? host : "", minVersion: "TLSv1.2" },
      ...{ ca: read(files.caFile), cert: read(files.certificateFile), key: read(files.keyFile) },
    }),
    established: "secureConnect",
  });
}

/** Keeps one connection and counts the bytes of each message in front of it. @see RFC 6587, 3.4.1 */
export class StreamTransport implements SyslogTransport {
  readonly isLocal = false;
  readonly maxBytes = 128 * 1024;
  #socket: Socket | null = null;
  /** What ended the last connection, until the next call has been told. */
  #broken: string | null = null;

  constructor(
    private readonly place: string,
    private readonly connect: Connect,
  ) {}

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const broken = this.#broken;
    this.#broken = null;
    if (broken !== null) throw this.#unavailable(broken);
    try {
      this.#socket ??= await this.#open(signal);
      const frames = messages.flatMap((message) => [Buffer.from(`${message.length} `), message]);
      await this.#write(this.#socket, Buffer.concat(frames), signal);
    } catch (error) {
      this.close();
      throw this.#unavailable(messageOf(error));
    }
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#broken = null;
    socket?.destroy();
  }

  async #open(signal: AbortSignal): Promise<Socket> {
    const { socket, established } = this.connect();
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const giveUp = () => reject(new Error("it does not answer"));
    signal.addEventListener("abort", giveUp, { once: true });
    socket.once(established, () => resolve(socket)).on("error", reject);
    try {
      await promise;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
    socket.setKeepAlive(true, 10_000).resume();
    const ended = (reason: string) => {
      if (this.#socket !== socket) return;
      this.close();
      this.#broken = reason;
    };
    socket.on("error", (error) => ended(error.message)).on("end", () => ended("it ended the connection"));
    socket.on("close", () => ended("the connection broke"));
    return socket;
  }

  async #write(socket: Socket, bytes: Buffer, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => reject(new Error("it does not read"));
    const closed = () => reject(new Error("the connection broke"));
    signal.addEventListener("abort", giveUp, { once: true });
    socket.once("close", closed);
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
      socket.off("close", closed);
    }
  }

  #unavailable(reason: string): MezError {
    return new MezError("UNAVAILABLE", `syslog at ${this.place} cannot be reached: ${reason}`);
  }
}
