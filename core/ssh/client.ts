import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";
import { lendToListeners } from "../flow/lending.js";
import { OFFER } from "./algorithms.js";
import { ssh2KeysOf } from "./certificate-key.js";
import { SshClientConnection } from "./client-connection.js";
import { guardFlow } from "./flow-guard.js";
import { checkHost, type HostTrust, hostAlgorithms } from "./host-trust.js";
import type { SshPrivateKey } from "./private-key.js";
import { Ssh2Client } from "./ssh2.js";

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

// --- internal ---

const MAX_CHANNELS = 1_000;

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
