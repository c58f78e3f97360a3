import { X509Certificate } from "node:crypto";
import { connect, type PeerCertificate } from "node:tls";
import { MezError } from "../errors/error.js";
import { parseHostPort } from "./address.js";
import { connectionReason } from "./connection-reason.js";

const PROBE_TIMEOUT_MS = 10_000;

/** What a server shows, and what is wrong with it. */
export interface Probe {
  /** PEM; the leaf first. */
  readonly chain: readonly string[];
  /** `null` when the chain leads to one of the authorities, is within its dates and names the server. */
  readonly problem: TrustProblem | null;
}

/** `authority`: signed by somebody else; `name`: made for other names; `date`: expired, or not valid yet. */
export interface TrustProblem {
  readonly kind: "authority" | "name" | "date";
  /** For people. */
  readonly words: string;
}

/**
 * Shakes hands with the server and leaves; nothing is sent but the handshake.
 * @param authoritiesPem What the server's certificate is judged against.
 * @param timeoutMs How long the server may be silent.
 * @throws {MezError} `UNAVAILABLE`
 */
export async function probeServer(
  address: string,
  authoritiesPem: readonly string[],
  timeoutMs = PROBE_TIMEOUT_MS,
): Promise<Probe> {
  const { host, port } = parseHostPort(address);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2"],
      ca: [...authoritiesPem],
      rejectUnauthorized: false,
    });
    const fail = (why: string): void => {
      socket.destroy();
      reject(new MezError("UNAVAILABLE", `cannot reach the auth service at ${address}: ${why}`));
    };
    socket.setTimeout(timeoutMs, () => fail("no answer"));
    socket.once("error", (error: NodeJS.ErrnoException) => fail(connectionReason(error.code ?? error.message)));
    socket.once("secureConnect", () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      const problem = socket.authorized ? null : problemOf(String(socket.authorizationError), chain, host);
      socket.destroy();
      if (chain.length === 0) reject(new MezError("UNAVAILABLE", `the server at ${address} shows no certificate`));
      else resolve({ chain, problem });
    });
  });
}

// --- internal ---

const MAX_CHAIN = 8;

function problemOf(code: string, chain: readonly string[], host: string): TrustProblem {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = chain[0] === undefined ? undefined : new X509Certificate(chain[0]).subjectAltName;
    return { kind: "name", words: `is made for ${namesIn(names)}, not for ${host}` };
  }
  if (code === "CERT_HAS_EXPIRED") return { kind: "date", words: "has expired; compare the clocks of both machines" };
  if (code === "CERT_NOT_YET_VALID") return { kind: "date", words: "is not valid yet; compare the clocks of both machines" };
  return { kind: "authority", words: "is signed by a CA that is not trusted here" };
}

function namesIn(subjectAltName: string | undefined): string {
  const names = (subjectAltName ?? "").match(/(?:DNS|IP Address):[^,]+/g) ?? [];
  return names.length === 0 ? "no name" : names.map((name) => name.replace(/^[^:]+:/, "")).join(", ");
}

type Linked = PeerCertificate & { issuerCertificate?: Linked };

function chainOf(leaf: Linked): readonly string[] {
  const ders: Buffer[] = [];
  for (let next: Linked | undefined = leaf; next?.raw !== undefined && ders.length < MAX_CHAIN; next = next.issuerCertificate) {
    const der: Buffer = next.raw;
    if (ders.some((known) => known.equals(der))) break;
    ders.push(der);
  }
  return ders.map((der) => new X509Certificate(der).toString());
}
