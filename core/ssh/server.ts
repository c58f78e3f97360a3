import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { lendToListeners } from "../flow/lending.js";
import { OFFER } from "./algorithms.js";
import type { AuthenticationAttempt, AuthenticationDecision } from "./authentication-attempt.js";
import { ssh2KeysOf } from "./certificate-key.js";
import { guardFlow } from "./flow-guard.js";
import type { SshPrivateKey } from "./private-key.js";
import { type SshPeer, SshServerConnection } from "./server-connection.js";
import { type IncomingServer, Ssh2Server } from "./ssh2.js";
import type { IncomingConnection } from "./ssh2-internals.js";
import { DISCONNECT, sendDisconnect, transportOf } from "./transport.js";
import { UserAuthentication } from "./user-authentication.js";

export interface SshHostKey {
  readonly key: SshPrivateKey;
  /** Wire form of its host certificate; null for a key that clients must know by itself. */
  readonly certificateBlob: Buffer | null;
}

export interface SshServerOptions<Identity> {
  /**
   * The host keys of now, asked for at every connection. Give the same array until it changes (a renewed certificate):
   * open connections go on with theirs.
   */
  hostKeys(): readonly SshHostKey[];
  /** Lets a client in or not. A `MezError` that it throws is a refusal whose message the client sees. */
  authenticate(
    attempt: AuthenticationAttempt,
    client: SshPeer & { readonly clientSoftware: string },
  ): Promise<AuthenticationDecision<Identity>>;
  /** Receives every authenticated client; must call `connection.handle` before it returns. */
  onConnection(connection: SshServerConnection<Identity>): void;
  /** A client that went away or was sent away before it was authenticated, and an error that is ours. For the log. */
  onRefused?(reason: string, peer: SshPeer): void;
  onError?(error: unknown): void;
  /** Authentication methods that are offered; default `publickey` alone. */
  readonly methods?: readonly string[];
  /** Those of them that a client is told of before anything is proven; default all. */
  readonly offeredMethods?: readonly string[];
  /** From the first byte to the end of authentication; default 30,000. */
  readonly loginGraceMs?: number;
  /** Default 6. */
  readonly maxAuthTries?: number;
  /**
   * Clients that are not authenticated yet, at once. When more come, the one that has waited longest is closed, those first that
   * have proven nothing, so that clients who only wait keep nobody out. Default 1,000.
   */
  readonly maxUnauthenticated?: number;
  /** Channels of one client at once; default 1,000. */
  readonly maxChannels?: number;
  /** A client that is silent for four times this long is closed; default 15,000. 0: no client is asked, nor closed for its silence. */
  readonly keepaliveMs?: number;
  /** Default 1 GiB and 1 h. */
  readonly rekeyBytes?: number;
  readonly rekeyMs?: number;
}

/** Makes an SSH server. It has no listener of its own: give it sockets or other streams with `serve`. */
export function createSshServer<Identity>(options: SshServerOptions<Identity>): SshServer<Identity> {
  return new SshServer(options);
}

/** The server side of SSH for any number of connections; what a person may do is decided by the options. */
export class SshServer<Identity> {
  readonly #open = new Set<Waiting>();
  readonly #waiting = new WeakMap<Duplex, Waiting>();
  /** Those that have proven nothing, in order of arrival. */
  readonly #strangers = new Set<Waiting>();
  /** Those that have proven something and were given time for more. */
  readonly #halfway = new Set<Waiting>();
  #keys: readonly SshHostKey[] | null = null;
  #backend: IncomingServer | null = null;

  constructor(private readonly options: SshServerOptions<Identity>) {}

  /**
   * Serves SSH on a TCP socket, or on any other stream, e.g. one of a tunnel.
   * @param peer Who is at the other end; taken from the socket when left out.
   */
  serve(stream: Duplex, peer: Partial<SshPeer> = {}): void {
    const socket = stream as Duplex & Partial<SshPeer> & { setNoDelay?(on: boolean): void };
    const waiting: Waiting = {
      stream,
      peer: {
        ...peer,
        remoteAddress: peer.remoteAddress ?? socket.remoteAddress ?? "",
        remotePort: peer.remotePort ?? socket.remotePort ?? 0,
      },
      connection: null,
      failure: null,
      isAuthenticated: false,
      graceTimer: undefined,
    };
    if (this.#strangers.size + this.#halfway.size >= (this.options.maxUnauthenticated ?? 1_000)) this.#makeRoom();
    socket.setNoDelay?.(true); // without it every handshake waits for delayed acknowledgements
    this.#strangers.add(waiting);
    this.#open.add(waiting);
    waiting.graceTimer = setTimeout(() => this.#onGraceOver(waiting), this.options.loginGraceMs ?? 30_000).unref();
    stream.once("close", () => this.#onClosed(waiting));
    // SSH knows no half-close below its channels, but streams do: a client that went away would stay for ever.
    stream.once("end", () => {
      stream.end();
      setTimeout(() => stream.destroy(), CLOSE_MS).unref();
    });
    this.#waiting.set(stream, waiting);
    try {
      this.#currentBackend().injectSocket(stream);
    } catch (error) {
      this.options.onError?.(error);
      stream.on("error", () => undefined).destroy();
    }
  }

  /** How many clients are connected. */
  get connectionCount(): number {
    return this.#open.size;
  }

  /** Ends every connection, telling each client why. */
  close(reason: string): void {
    for (const { connection, stream } of [...this.#open]) {
      if (connection !== null) sendDisconnect(connection._protocol, DISCONNECT.byApplication, reason);
      stream.end();
      setTimeout(() => stream.destroy(), CLOSE_MS).unref();
    }
  }

  /** ssh2 fixes the host keys of a server at its birth, so renewed keys get a new one. */
  #currentBackend(): IncomingServer {
    const keys = this.options.hostKeys();
    if (this.#backend !== null && this.#keys === keys) return this.#backend;
    const hostKeys = [
      ...keys.flatMap(({ key, certificateBlob }) => (certificateBlob === null ? [] : ssh2KeysOf(key, certificateBlob))),
      ...keys.flatMap(({ key }) => ssh2KeysOf(key, null)),
    ].map((key) => ({ key }));
    const backend = new Ssh2Server({
      hostKeys,
      ident: "Mezite",
      algorithms: OFFER,
      keepaliveInterval: this.options.keepaliveMs ?? 15_000,
    });
    backend.on("connection", (connection: IncomingConnection, info: { header: { versions: { software: string } } }) => {
      const waiting = this.#waiting.get(connection._sock);
      if (waiting !== undefined) this.#onIdentified(waiting, connection, info.header.versions.software);
    });
    this.#keys = keys;
    this.#backend = backend;
    return backend;
  }

  #onIdentified(waiting: Waiting, connection: IncomingConnection, clientSoftware: string): void {
    const { options } = this;
    const { _protocol: protocol } = connection;
    waiting.connection = connection;
    connection.on("error", (error: Error) => {
      waiting.failure ??= error.message;
    });
    const transport = transportOf(protocol);
    transport.rekeyBytes = options.rekeyBytes ?? transport.rekeyBytes;
    transport.rekeyMs = options.rekeyMs ?? transport.rekeyMs;
    transport.gatherWrites(waiting.stream);
    lendToListeners(waiting.stream);
    guardFlow(connection, options.maxChannels ?? 1_000);
    const client = { ...waiting.peer, clientSoftware };
    const authentication = new UserAuthentication<Identity>(protocol, {
      authenticate: (attempt) => options.authenticate(attempt, client),
      methods: options.methods ?? ["publickey"],
      offeredMethods: options.offeredMethods ?? options.methods ?? ["publickey"],
      maxTries: options.maxAuthTries ?? 6,
      extendGrace: (ms) => {
        if (this.#strangers.delete(waiting)) this.#halfway.add(waiting);
        clearTimeout(waiting.graceTimer);
        waiting.graceTimer = setTimeout(() => this.#onGraceOver(waiting), ms).unref();
      },
      onAccepted: (identity, user) => this.#onAuthenticated(waiting, connection, identity, user, clientSoftware),
      onGivenUp: (reason) => {
        waiting.failure = reason;
        waiting.stream.end();
        setTimeout(() => waiting.stream.destroy(), CLOSE_MS).unref();
      },
      onError: (error) => options.onError?.(error),
    });
    connection.once("close", () => authentication.end());
  }

  #onAuthenticated(
    waiting: Waiting,
    connection: IncomingConnection,
    identity: Identity,
    user: string,
    clientSoftware: string,
  ): void {
    clearTimeout(waiting.graceTimer);
    waiting.isAuthenticated = true;
    this.#known(waiting);
    connection.authenticated = true;
    const served = new SshServerConnection(connection, identity, user, waiting.peer, clientSoftware);
    this.options.onConnection(served);
    // Starts ssh2's keepalive, which would take an interval of 0 for its own default.
    if (this.options.keepaliveMs !== 0) (connection as EventEmitter).emit("ready");
  }

  #makeRoom(): void {
    const [longest] = this.#strangers.size > 0 ? this.#strangers : this.#halfway;
    if (longest === undefined) return;
    this.#known(longest);
    longest.failure = "too many unauthenticated clients";
    longest.stream.destroy();
  }

  /** Counts a client no longer among those who wait. */
  #known(waiting: Waiting): void {
    this.#strangers.delete(waiting);
    this.#halfway.delete(waiting);
  }

  #onGraceOver(waiting: Waiting): void {
    waiting.failure = "login grace time exceeded";
    if (waiting.connection !== null && transportOf(waiting.connection._protocol).exchanges > 0) {
      sendDisconnect(waiting.connection._protocol, DISCONNECT.byApplication, "login grace time exceeded");
    }
    waiting.stream.destroy();
  }

  #onClosed(waiting: Waiting): void {
    clearTimeout(waiting.graceTimer);
    this.#open.delete(waiting);
    if (waiting.isAuthenticated) return;
    this.#known(waiting);
    this.options.onRefused?.(waiting.failure ?? "the client went away before it was authenticated", waiting.peer);
  }
}

// --- internal ---

const CLOSE_MS = 1_000;

interface Waiting {
  readonly stream: Duplex;
  readonly peer: SshPeer;
  connection: IncomingConnection | null;
  failure: string | null;
  isAuthenticated: boolean;
  graceTimer: NodeJS.Timeout | undefined;
}
