import { MezError } from "../errors/error.js";
import { lendFrom } from "./channel-flow.js";
import { RelayEnd } from "./relay-end.js";
import { type SshChannel, SshServerSession } from "./server-session.js";
import { MAX_WINDOW, PACKET_SIZE } from "./ssh2.js";
import type { Channel, IncomingConnection, Negotiated, Session } from "./ssh2-internals.js";
import { DISCONNECT, sendDisconnect, transportOf } from "./transport.js";

/** Asks for a channel to somewhere else; answer once. */
export interface ChannelRequest {
  accept(): SshChannel | null;
  /** @param reason One line that OpenSSH prints after `open failed:`. */
  reject(reason: string): void;
}

/** `ssh -L`, `-W`, `-J`: connect to this address for me. */
export interface DirectTcpipRequest extends ChannelRequest {
  readonly host: string;
  readonly port: number;
  readonly originAddress: string;
  readonly originPort: number;
}

export interface DirectStreamlocalRequest extends ChannelRequest {
  readonly socketPath: string;
}

/** `ssh -R`: listen there for me. Port 0 lets the server choose. */
export interface TcpipForwardRequest {
  readonly address: string;
  readonly port: number;
  /** @param boundPort The port that is listened on. */
  accept(boundPort: number): void;
  reject(): void;
}

export interface StreamlocalForwardRequest {
  readonly socketPath: string;
  accept(): void;
  reject(): void;
}

/** What a client may ask for once it is in; what is left out is refused. */
export interface ConnectionHandlers {
  session?(session: SshServerSession): void;
  directTcpip?(request: DirectTcpipRequest): void;
  directStreamlocal?(request: DirectStreamlocalRequest): void;
  tcpipForward?(request: TcpipForwardRequest): void;
  cancelTcpipForward?(address: string, port: number): void;
  streamlocalForward?(request: StreamlocalForwardRequest): void;
  cancelStreamlocalForward?(socketPath: string): void;
}

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
  #handlers: ConnectionHandlers = {};
  readonly #sessions = new WeakMap<Session, SshServerSession>();

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
    this.#interceptChannels();
    this.#listen();
  }

  /** Says what the client may do. Called by whoever receives the connection, before it returns. */
  handle(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
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

  #interceptChannels(): void {
    const { _protocol: protocol, _chanMgr: channels } = this.connection;
    const handlers = protocol._handlers;
    const { CHANNEL_CLOSE } = handlers;
    handlers.CHANNEL_CLOSE = (self, recipient) => {
      const session = channels.get(recipient) as Session | undefined;
      CHANNEL_CLOSE(self, recipient);
      if (session === undefined || !this.#sessions.has(session) || session._channel !== undefined) return;
      channels.remove(recipient); // ssh2 forgets sessions that never ran anything
      protocol.channelClose(session._chanInfo.outgoing.id);
    };
    handlers.CHANNEL_REQUEST = (self, recipient, type, wantReply, data) => {
      const target = channels.get(recipient) as (Session & { outgoing?: { id: number } }) | undefined;
      if (target === undefined || typeof target !== "object") return;
      const session = this.#sessions.get(target);
      if (session !== undefined) session.request(type, wantReply, data);
      else if (wantReply && target.outgoing !== undefined) self.channelFailure(target.outgoing.id);
    };
  }

  #listen(): void {
    const { connection } = this;
    connection.on("session", (accept: () => Session, reject: () => void) => {
      const { session } = this.#handlers;
      if (session === undefined) return this.#refuse(reject, "sessions are not served here");
      const opened = accept();
      const served = new SshServerSession(connection, opened);
      this.#sessions.set(opened, served);
      session(served);
    });
    connection.on(
      "tcpip",
      (
        accept: () => SshChannel,
        reject: () => void,
        info: { destIP: string; destPort: number; srcIP: string; srcPort: number },
      ) => {
        const { directTcpip } = this.#handlers;
        if (directTcpip === undefined) return this.#refuse(reject, "port forwarding is not allowed");
        const { destIP: host, destPort: port, srcIP: originAddress, srcPort: originPort } = info;
        directTcpip({ host, port, originAddress, originPort, ...this.#channelRequest(accept, reject) });
      },
    );
    connection.on("openssh.streamlocal", (accept: () => SshChannel, reject: () => void, info: { socketPath: string }) => {
      const { directStreamlocal } = this.#handlers;
      if (directStreamlocal === undefined) return this.#refuse(reject, "socket forwarding is not allowed");
      directStreamlocal({ socketPath: info.socketPath, ...this.#channelRequest(accept, reject) });
    });
    connection.on("request", (accept, reject, name, data) => this.#globalRequest(accept, reject, name, data));
  }

  #globalRequest(
    accept: ((port?: number) => void) | undefined,
    reject: (() => void) | undefined,
    name: string,
    data: ForwardData,
  ): void {
    const handlers = this.#handlers;
    const answer = { accept: (port?: number) => this.isClosed || accept?.(port), reject: () => this.isClosed || reject?.() };
    if (name === "tcpip-forward" && handlers.tcpipForward) {
      handlers.tcpipForward({ address: data.bindAddr, port: data.bindPort, ...answer });
    } else if (name === "streamlocal-forward@openssh.com" && handlers.streamlocalForward) {
      handlers.streamlocalForward({ socketPath: data.socketPath, ...answer });
    } else if (name === "cancel-tcpip-forward" && handlers.cancelTcpipForward) {
      handlers.cancelTcpipForward(data.bindAddr, data.bindPort);
      answer.accept();
    } else if (name === "cancel-streamlocal-forward@openssh.com" && handlers.cancelStreamlocalForward) {
      handlers.cancelStreamlocalForward(data.socketPath);
      answer.accept();
    } else {
      answer.reject();
    }
  }

  #channelRequest(accept: () => SshChannel, reject: () => void): ChannelRequest {
    return {
      accept: () => {
        if (this.isClosed) return null;
        return halfClosing(accept());
      },
      reject: (reason) => {
        if (!this.isClosed) this.#refuse(reject, reason);
      },
    };
  }

  /** ssh2 refuses without a text; ours takes the place of its empty one. */
  #refuse(reject: () => void, reason: string): void {
    const { _protocol: protocol } = this.connection;
    const { channelOpenFail } = protocol;
    protocol.channelOpenFail = (channel) => channelOpenFail.call(protocol, channel, ADMINISTRATIVELY_PROHIBITED, reason);
    try {
      reject();
    } finally {
      protocol.channelOpenFail = channelOpenFail;
    }
  }
}

// --- internal ---

const ADMINISTRATIVELY_PROHIBITED = 1; // RFC 4254, 5.1
/** How long the peer has to read our DISCONNECT before its socket is destroyed. */
const CLOSE_MS = 1_000;

/**
 * A channel that carries somebody else's connection. ssh2's server closes a channel as soon as our side has ended; such
 * a one stays until both have.
 */
function halfClosing(channel: SshChannel): SshChannel {
  (channel as SshChannel & { server: boolean }).server = false;
  lendFrom(channel as Channel & SshChannel);
  let endsLeft = 2;
  const onEnd = () => {
    if (--endsLeft === 0) channel.close();
  };
  return channel
    .once("end", onEnd)
    .once("finish", onEnd)
    .on("error", () => undefined);
}

interface ForwardData {
  readonly bindAddr: string;
  readonly bindPort: number;
  readonly socketPath: string;
}
