import { halfClosing } from "./half-closing.js";
import { type SshChannel, SshServerSession } from "./server-session.js";
import type { IncomingConnection, Session } from "./ssh2-internals.js";

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

/** What a client asks for once it is in, led to whoever serves it. What nobody serves is refused with a reason. */
export class ClientRequests {
  #handlers: ConnectionHandlers = {};
  readonly #sessions = new WeakMap<Session, SshServerSession>();

  constructor(
    private readonly connection: IncomingConnection,
    private readonly isClosed: () => boolean,
  ) {
    this.#interceptChannels();
    this.#listen();
  }

  /** Says what the client may do, from now on. */
  handle(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
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
    const answer = { accept: (port?: number) => this.isClosed() || accept?.(port), reject: () => this.isClosed() || reject?.() };
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
        if (this.isClosed()) return null;
        return halfClosing(accept());
      },
      reject: (reason) => {
        if (!this.isClosed()) this.#refuse(reject, reason);
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

interface ForwardData {
  readonly bindAddr: string;
  readonly bindPort: number;
  readonly socketPath: string;
}
