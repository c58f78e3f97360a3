import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";
import { lendToListeners } from "../flow/lending.js";
import { CERTIFICATE_ALGORITHMS, OFFER, SIGNATURE_ALGORITHMS } from "./algorithms.js";
import { parseCertificate } from "./certificate.js";
import { checkCertificate } from "./certificate-check.js";
import { ssh2KeysOf } from "./certificate-key.js";
import { guardFlow } from "./flow-guard.js";
import type { SshPrivateKey } from "./private-key.js";
import { fingerprintOf, parsePublicKey } from "./public-key.js";
import { RelayEnd } from "./relay-end.js";
import { signatureAlgorithmsOf } from "./signature.js";
import { type OutgoingClient, Ssh2Client } from "./ssh2.js";
import type { Channel } from "./ssh2-internals.js";
import { transportOf } from "./transport.js";

/** How the host proves itself: by a certificate of one of our CAs for that name, or by a key that we know. */
export type HostTrust =
  | { readonly authorities: readonly Buffer[]; readonly name: string; readonly now: () => Date }
  | { readonly pinnedKeys: readonly Buffer[] };

/** Who logs in. */
export interface SshCredentials {
  readonly user: string;
  readonly key: SshPrivateKey;
  /** Wire form of the certificate for the key; null to log in with the plain key. */
  readonly certificateBlob: Buffer | null;
}

export interface SshClientOptions extends SshCredentials, SshDialOptions {}

/** How to connect. */
export interface SshDialOptions {
  /** Where to connect, or a stream that leads there already. */
  readonly to: { readonly host: string; readonly port: number } | Duplex;
  readonly hostTrust: HostTrust;
  /** For connection and login together; default 20,000. */
  readonly timeoutMs?: number;
  /** Default 0: none. */
  readonly keepaliveMs?: number;
  /** Called as soon as we are let in, before anything that the server sends after that is looked at. */
  onReady?(connection: SshClientConnection): void;
  /** Lines that the server sends during authentication, e.g. why it refuses. */
  onBanner?(text: string): void;
  /** Answers what the server asks after the key was accepted, e.g. for a second factor; without it such servers refuse. */
  onQuestions?(
    instruction: string,
    questions: readonly { readonly prompt: string; readonly echo: boolean }[],
  ): Promise<readonly string[]>;
  /** Offers only these; for tests. */
  readonly algorithms?: { readonly kex?: readonly string[]; readonly cipher?: readonly string[] };
}

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

/**
 * Connects and logs in.
 * @throws {MezError} `SSH_HOST_KEY_REFUSED`; `SSH_AUTHENTICATION_FAILED` with what the server said; `SSH_CONNECTION_FAILED`
 */
export function connectSsh(options: SshClientOptions): Promise<SshClientConnection> {
  return dialSsh(options, Promise.resolve(options));
}

/**
 * Connects while it is not yet known who logs in.
 * @param credentials Waited for when the host has proven itself.
 * @throws {MezError} as `connectSsh`; what `credentials` rejects with
 */
export function dialSsh(options: SshDialOptions, credentials: Promise<SshCredentials>): Promise<SshClientConnection> {
  return new Promise((resolve, reject) => {
    const client = new Ssh2Client();
    const stream = "host" in options.to ? connect({ host: options.to.host, port: options.to.port, noDelay: true }) : options.to;
    (stream as Duplex & { setNoDelay?(on: boolean): void }).setNoDelay?.(true);
    const banners: string[] = [];
    let hostProblem: unknown = null;
    let credentialsProblem: unknown = null;
    let acceptedBlob: Buffer | null = null;
    const verifyHost = (blob: Buffer): boolean => {
      try {
        // At a change of keys the host shows the same again; its certificate may have expired since.
        if (acceptedBlob === null || !acceptedBlob.equals(blob)) checkHost(blob, options.hostTrust);
        acceptedBlob = Buffer.from(blob);
        return true;
      } catch (error) {
        hostProblem = error;
        return false;
      }
    };
    const fail = (error: Error & { level?: string }) => {
      stream.destroy();
      reject(credentialsProblem ?? connectionError(error, hostProblem, banners));
    };
    client.on("error", fail);
    client.once("close", () => fail(new Error("the connection was closed")));
    client.on("banner", (text: string) => {
      banners.push(text.trim());
      options.onBanner?.(text);
    });
    client.once("ready", () => {
      const connection = new SshClientConnection(client, stream);
      options.onReady?.(connection);
      resolve(connection);
    });
    try {
      const attempts = credentials.then((known) => attemptsOf(options, known, stream));
      attempts.catch(() => undefined); // it may reject before anybody asks
      const nextAttempt = (_left: unknown, _isPartial: unknown, next: (attempt: object | false) => void): void => {
        attempts.then(
          (list) => next(list.shift() ?? false),
          (error: unknown) => {
            credentialsProblem = error;
            next(false);
          },
        );
      };
      client.connect(ssh2Options(options, stream, verifyHost, nextAttempt));
      lendToListeners(stream);
      guardFlow(client, MAX_CHANNELS);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  });
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
  return new Promise((resolve) => {
    let status: ExitStatus = { code: null, signal: null };
    channel.on("exit", (code: number | null, signal?: string) => {
      status = { code, signal: signal ?? null };
    });
    channel.once("close", () => resolve(status));
  });
}

// --- internal ---

const MAX_CHANNELS = 1_000;

function checkHost(blob: Buffer, trust: HostTrust): void {
  if ("pinnedKeys" in trust) {
    if (!trust.pinnedKeys.some((pinned) => pinned.equals(blob)))
      throw new MezError(
        "SSH_HOST_KEY_REFUSED",
        `it shows the host key ${fingerprintOf(blob)} and ${trust.pinnedKeys.map(fingerprintOf).join(", ")} is known`,
      );
    return;
  }
  checkCertificate(parseCertificate(blob), {
    role: "host",
    authorities: trust.authorities,
    principal: trust.name,
    now: trust.now(),
  });
}

function hostAlgorithms(trust: HostTrust): readonly string[] {
  if (!("pinnedKeys" in trust)) return [...CERTIFICATE_ALGORITHMS.keys()];
  const known: readonly string[] = trust.pinnedKeys.flatMap((blob) => signatureAlgorithmsOf(parsePublicKey(blob).type));
  const isKnown = (algorithm: string) => known.includes(algorithm);
  // The others come last: a host without the known key shows another, which can then be named.
  return [...SIGNATURE_ALGORITHMS.filter(isKnown), ...SIGNATURE_ALGORITHMS.filter((algorithm) => !isKnown(algorithm))];
}

/** What is tried to log in, one after the other. */
function attemptsOf(options: SshDialOptions, { user: username, key, certificateBlob }: SshCredentials, stream: Duplex): object[] {
  const keys = ssh2KeysOf(key, certificateBlob).map((each) => ({ type: "publickey", username, key: each }));
  const prompt = (
    _name: string,
    instruction: string,
    _language: string,
    questions: readonly { prompt: string; echo: boolean }[],
    answer: (answers: readonly string[]) => void,
  ) => options.onQuestions?.(instruction, questions).then(answer, () => stream.destroy());
  return options.onQuestions ? [...keys, { type: "keyboard-interactive", username, prompt }] : keys;
}

function ssh2Options(
  options: SshDialOptions,
  stream: Duplex,
  hostVerifier: (blob: Buffer) => boolean,
  authHandler: unknown,
): object {
  return {
    sock: stream,
    username: "",
    ident: "Mezite",
    hostVerifier,
    authHandler,
    readyTimeout: options.timeoutMs ?? 20_000,
    keepaliveInterval: options.keepaliveMs ?? 0,
    algorithms: { ...OFFER, serverHostKey: hostAlgorithms(options.hostTrust), ...options.algorithms },
  };
}

function ssh2Terminal(terminal: TerminalOptions | undefined): object | undefined {
  return terminal && { term: terminal.term, cols: terminal.columns, rows: terminal.rows };
}

function connectionError(error: Error & { level?: string }, hostProblem: unknown, banners: readonly string[]): MezError {
  if (hostProblem !== null) {
    const message = hostProblem instanceof Error ? hostProblem.message : String(hostProblem);
    return new MezError("SSH_HOST_KEY_REFUSED", `the host was not believed: ${message}`, { cause: hostProblem });
  }
  if (error.level === "client-authentication") {
    const said = banners.length > 0 ? `: ${banners.join("; ").slice(0, 500)}` : "";
    return new MezError("SSH_AUTHENTICATION_FAILED", `the SSH server refused the login${said}`, { cause: error });
  }
  return new MezError("SSH_CONNECTION_FAILED", `the SSH connection failed: ${error.message}`, { cause: error });
}
