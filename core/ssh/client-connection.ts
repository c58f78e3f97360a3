import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";
import { RelayEnd } from "./relay-end.js";
import type { OutgoingClient } from "./ssh2.js";
import type { Channel } from "./ssh2-internals.js";
import { transportOf } from "./transport.js";

export interface TerminalOptions {
  readonly term: string;
  readonly columns: number;
  readonly rows: number;
}

export interface ExecOptions {
  readonly terminal?: TerminalOptions;
  readonly environment?: Readonly<Record<string, string>>;
}

/** How a program ended; both null when the server did not say. */
export interface ExitStatus {
  readonly code: number | null;
  /** With `SIG`, e.g. `SIGTERM`. */
  readonly signal: string | null;
}

/** A channel of the client's side. Ending it sends end of file; it closes when the server closes it. */
export interface SshClientChannel extends Duplex {
  readonly stderr: Duplex;
  setWindow(rows: number, columns: number, heightPixels: number, widthPixels: number): void;
  signal(name: string): void;
  close(): void;
}

/** A connection on which we are logged in. */
export class SshClientConnection {
  /** Settles when the connection is gone, and never rejects; the value says why, when something went wrong. */
  readonly closed: Promise<string | null>;

  constructor(
    private readonly client: OutgoingClient,
    private readonly stream: Duplex,
  ) {
    let failure: string | null = null;
    client.on("error", (error: Error) => {
      failure ??= error.message;
    });
    this.closed = new Promise((resolve) => client.once("close", () => resolve(failure)));
  }

  /** Gives everything that comes from the server from now on to a `SessionRelay`; nothing may be opened here after. */
  handOver(): RelayEnd {
    return new RelayEnd(this.client._protocol, this.client._sock);
  }

  get algorithms(): { readonly keyExchange: string; readonly hostKey: string; readonly cipher: string } {
    const negotiated = this.client._protocol._kex?.negotiated;
    return {
      keyExchange: negotiated?.kex ?? "",
      hostKey: negotiated?.serverHostKeyWire ?? negotiated?.serverHostKey ?? "",
      cipher: negotiated?.cs.cipher ?? "",
    };
  }

  get stats(): { readonly bytesSent: number; readonly bytesReceived: number } {
    const { bytesSent, bytesReceived } = transportOf(this.client._protocol);
    return { bytesSent, bytesReceived };
  }

  /** Runs a command line. @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED` */
  exec(command: string, options: ExecOptions = {}): Promise<SshClientChannel> {
    return this.#open((done) =>
      this.client.exec(command, { pty: ssh2Terminal(options.terminal), env: options.environment }, done),
    );
  }

  /** Starts the login shell. @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED` */
  shell(options: ExecOptions = {}): Promise<SshClientChannel> {
    return this.#open((done) => this.client.shell(ssh2Terminal(options.terminal) ?? false, { env: options.environment }, done));
  }

  /** Starts a subsystem, e.g. `sftp`. @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED` */
  subsystem(name: string): Promise<SshClientChannel> {
    return this.#open((done) => this.client.subsys(name, done));
  }

  /** Lets the server connect to an address, as `ssh -W` does. @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED` */
  forwardOut(host: string, port: number, origin = { address: "127.0.0.1", port: 0 }): Promise<SshClientChannel> {
    return this.#open((done) => this.client.forwardOut(origin.address, origin.port, host, port, done));
  }

  /** The same for a unix socket. @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED` */
  forwardOutStreamlocal(socketPath: string): Promise<SshClientChannel> {
    return this.#open((done) => this.client.openssh_forwardOutStreamLocal(socketPath, done));
  }

  /** Changes the keys now; it also happens by itself after 1 GiB or an hour. */
  rekey(): void {
    this.client._protocol.rekey();
  }

  /** Says goodbye and closes. */
  close(): void {
    this.client.end();
    setTimeout(() => this.stream.destroy(), 1_000).unref();
  }

  #open(request: (done: (error: Error | undefined, channel: Channel) => void) => void): Promise<SshClientChannel> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) =>
        reject(
          new MezError(
            "SSH_CHANNEL_REFUSED",
            `the SSH server refused: ${cause instanceof Error ? cause.message : String(cause)}`,
            { cause },
          ),
        );
      try {
        request((error, channel) => {
          if (error) return fail(error);
          channel.on("error", () => undefined);
          resolve(channel as Channel & SshClientChannel);
        });
      } catch (cause) {
        reject(new MezError("SSH_CONNECTION_FAILED", "the SSH connection is closed", { cause }));
      }
    });
  }
}

/** Waits until a channel of `exec` or `shell` is gone. Read its output meanwhile, or it will not end. */
export function exitOf(channel: SshClientChannel): Promise<ExitStatus> {
  // ssh2 tells the status once more at the end; `exit` itself may have come with the answer that opened the channel.
  return new Promise((resolve) => {
    channel.once("close", (code: number | null = null, signal: string | null = null) => resolve({ code, signal }));
  });
}

// --- internal ---

function ssh2Terminal(terminal: TerminalOptions | undefined): object | undefined {
  return terminal && { term: terminal.term, cols: terminal.columns, rows: terminal.rows };
}
