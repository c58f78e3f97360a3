import { connect, isIP, type Socket } from "node:net";
import type { PeerCertificate } from "node:tls";
import { MezError, messageOf } from "../../../core/errors/error.js";
import { ROLE_ORGANIZATION_PREFIX } from "../../../core/plugin/host-identity.js";
import { parseHostPort } from "../../../core/rpc/address.js";
import { connectionReason } from "../../../core/rpc/connection-reason.js";
import { DIRECT_ALPN, MAX_DIRECT_ANSWER_BYTES } from "../../../core/tunnel/direct-route.js";
import { TlsPrelude } from "../../../core/tunnel/tls-prelude.js";
import type { DirectLogin } from "./direct-login.js";

/** A server that has shown who it is. */
export interface Handshake {
  readonly address: string;
  readonly tcp: Socket;
  /** `null` for something that knows nothing of the direct route: whether it is the right one, SSH checks for itself. */
  readonly prelude: TlsPrelude | null;
}

/**
 * Shakes hands with one proxy.
 * @param silenceMs How long it may take.
 * @throws {MezError} `UNAVAILABLE`; `SERVER_NOT_TRUSTED` for one that speaks TLS and is no proxy of the cluster
 */
export async function shakeHands(
  address: string,
  login: DirectLogin,
  silenceMs: number,
  signal: AbortSignal,
): Promise<Handshake> {
  const { host, port } = parseHostPort(address);
  const tcp = connect({ host, port, noDelay: true });
  const stop = (): void => void tcp.destroy();
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    stop();
  }, silenceMs);
  signal.addEventListener("abort", stop);
  try {
    await connected(tcp);
    return { address, tcp, prelude: await dial(tcp, address, host, login) };
  } catch (error) {
    tcp.destroy();
    throw error instanceof MezError ? error : unreachable(address, isLate ? NO_ANSWER : error);
  } finally {
    clearTimeout(limit);
    signal.removeEventListener("abort", stop);
  }
}

/** What a person is told of a proxy that is not there, or not any more. */
export function unreachable(address: string, cause: unknown): MezError {
  const reason = connectionReason((cause as NodeJS.ErrnoException).code ?? messageOf(cause));
  return new MezError("UNAVAILABLE", `the proxy at ${address} cannot be reached: ${reason}`, { cause });
}

export const NO_ANSWER = new Error("no answer");

// --- internal ---

const PROXY_ORGANIZATION = `${ROLE_ORGANIZATION_PREFIX}proxy`;

function connected(tcp: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    tcp
      .once("connect", resolve)
      .once("error", reject)
      .once("close", () => reject(NO_ANSWER));
  });
}

async function dial(tcp: Socket, address: string, host: string, { hostCaPem, profile }: DirectLogin): Promise<TlsPrelude | null> {
  const options = {
    ca: hostCaPem,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    checkServerIdentity: (_name: string, certificate: PeerCertificate) => checkProxy(address, certificate),
  };
  try {
    return await TlsPrelude.dial(tcp, options, DIRECT_ALPN, MAX_DIRECT_ANSWER_BYTES);
  } catch (error) {
    if (error instanceof MezError) throw error;
    const problem = certificateProblem((error as NodeJS.ErrnoException).code);
    if (problem !== null)
      throw notTrusted(
        `the server at ${address} is not a proxy of cluster ${profile.cluster}: its certificate ${problem}`,
        error,
      );
    if (tcp.bytesRead === 0) throw error;
    return null;
  }
}

/** A node's certificate is of the Host CA too. */
function checkProxy(address: string, { subject }: PeerCertificate): Error | undefined {
  if (subject.O === PROXY_ORGANIZATION) return undefined;
  return notTrusted(`the server at ${address} shows a certificate of the cluster that is not a proxy's`);
}

function notTrusted(message: string, cause?: unknown): MezError {
  return new MezError("SERVER_NOT_TRUSTED", message, { cause });
}

/**
 * Certificates have errors by the names that X509_verify_cert_error_string(3) lists. Whatever is none of TLS, of the system or
 * without a name counts as one, so that no such server is taken for something else.
 * @returns `null` for other errors
 */
function certificateProblem(code: string | undefined): string | null {
  if (code === undefined || /^(?:ERR_SSL_.*|E[A-Z]+)$/.test(code)) return null;
  if (/^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/.test(code)) return "is not valid at this time; compare the clocks of both machines";
  return 'is not signed by the Host CA that this login knows; after a rotation of the CA, run "msh ls" once';
}
