import { MezError } from "../errors/error.js";
import { ClientRequests, type ConnectionHandlers } from "./client-requests.js";
import { halfClosing } from "./half-closing.js";
import { RelayEnd } from "./relay-end.js";
import type { SshChannel } from "./server-session.js";
import { MAX_WINDOW, PACKET_SIZE } from "./ssh2.js";
import type { IncomingConnection, Negotiated } from "./ssh2-internals.js";
import { DISCONNECT, sendDisconnect, transportOf } from "./transport.js";

export interface SshPeer {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Id of the session that whoever carried the stream here gave it, a UUID. */
  readonly sessionId?: string;
  /** A second factor that whoever carried the stream here had proven for it, and whose it was. */
  readonly factor?: { readonly kind: "totp" | "webauthn" | "hardware_key"; readonly user: string };
}

/** An authenticated client. */
export class SshServerConnection<Identity> {
  /** Settles when the connection is gone, and never rejects; the value says why, when something went wrong. */
  readonly closed: Promise<string | null>;
  readonly #requests: ClientRequests;

  constructor(
    private readonly connection: IncomingConnection,
    readonly identity: Identity,
    /** Login name that the client asked for. */
    readonly user: string,
    readonly peer: SshPeer,
    /** What the client calls itself, e.g. `OpenSSH_9.2p1`. */
    readonly clientSoftware: string,
  ) {
    let failure: string | null = null;
    connection.on("error", (error: Error) => {
      failure ??= error.message;
    });
    this.closed = new Promise((resolve) => connection.once("close", () => resolve(failure)));
    this.#requests = new ClientRequests(connection, () => this.isClosed);
  }

  /** Says what the client may do. Called by whoever receives the connection, before it returns. */
  handle(handlers: ConnectionHandlers): void {
    this.#requests.handle(handlers);
  }

  /** Gives everything that the client asks for from now on to a `SessionRelay`; in place of `handle`. */
  handOver(): RelayEnd {
    return new RelayEnd(this.connection._protocol, this.connection._sock);
  }

  /** Algorithms in use, for the log. */
  get algorithms(): { readonly keyExchange: string; readonly hostKey: string; readonly cipher: string } {
    const negotiated: Negotiated | undefined = this.connection._protocol._kex?.negotiated;
    return {
      keyExchange: negotiated?.kex ?? "",
      hostKey: negotiated?.serverHostKeyWire ?? negotiated?.serverHostKey ?? "",
      cipher: negotiated?.sc.cipher ?? "",
    };
  }

  /** Bytes on the wire, handshake included. */
  get stats(): { readonly bytesSent: number; readonly bytesReceived: number } {
    const { bytesSent, bytesReceived } = transportOf(this.connection._protocol);
    return { bytesSent, bytesReceived };
  }

  /** How many messages with data of channels went either way; keepalives and key changes do not count. */
  get dataMessages(): number {
    return transportOf(this.connection._protocol).dataMessages;
  }

  get isClosed(): boolean {
    return this.connection._protocol._destruct === undefined || transportOf(this.connection._protocol).isOver;
  }

  /**
   * Opens a channel for a connection that came in on a port that the client asked us to listen on.
   * @param bound The address as the client asked for it, and the port that was accepted; clients refuse any other.
   * @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED`
   */
  forwardTcpip(
    bound: { readonly address: string; readonly port: number },
    origin: { readonly address: string; readonly port: number },
  ): Promise<SshChannel> {
    return this.#open((done) => this.connection.forwardOut(bound.address, bound.port, origin.address, origin.port, done));
  }

  /** The same for a unix socket. @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED` */
  forwardStreamlocal(socketPath: string): Promise<SshChannel> {
    return this.#open((done) => this.connection.openssh_forwardOutStreamLocal(socketPath, done));
  }

  /** Opens a channel to the client's `ssh-agent`. @throws {MezError} `SSH_CHANNEL_REFUSED`, `SSH_CONNECTION_FAILED` */
  openAgentChannel(): Promise<SshChannel> {
    return this.#open((done) => {
      const waiting = Object.assign((error: Error | undefined, channel: SshChannel) => done(error, channel), {
        type: "auth-agent@openssh.com",
      });
      const id = this.connection._chanMgr.add(waiting);
      this.connection._protocol.openssh_authAgent(id, MAX_WINDOW, PACKET_SIZE);
    });
  }

  /** Changes the keys now; it also happens by itself after 1 GiB or an hour. */
  rekey(): void {
    if (!this.isClosed) this.connection._protocol.rekey();
  }

  /** Ends the connection. OpenSSH prints the text: `Received disconnect from …: your session was ended by an administrator`. */
  disconnect(reason: string, code: number = DISCONNECT.byApplication): void {
    sendDisconnect(this.connection._protocol, code, reason.replace(/[\x00-\x1f\x7f]+/g, " "));
    this.connection._sock.end();
    setTimeout(() => this.connection._sock.destroy(), CLOSE_MS).unref();
  }

  #open(request: (done: (error: Error | undefined, channel: SshChannel) => void) => void): Promise<SshChannel> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) return reject(new MezError("SSH_CONNECTION_FAILED", "the SSH connection is closed"));
      request((error, channel) => {
        if (error)
          return reject(
            new MezError("SSH_CHANNEL_REFUSED", `the SSH client refused a channel: ${error.message}`, { cause: error }),
          );
        resolve(halfClosing(channel));
      });
    });
  }
}

// --- internal ---

/** How long the peer has to read our DISCONNECT before its socket is destroyed. */
const CLOSE_MS = 1_000;
