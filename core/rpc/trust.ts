import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import type { ServerTrust } from "../plugin/dialer.js";
import { isLoopback, parseHostPort } from "./address.js";
import type { KnownAuthorities } from "./trust-memory.js";
import { parseAuthorities, parsePins, pinOf } from "./trust-pin.js";
import { probeServer } from "./trust-probe.js";

/** The file in a data directory that holds the certificates of the Host CA, PEM. The auth service writes it. */
export const HOST_CA_FILE = "host-ca.pem";

export interface TrustRequest {
  /** `host:port` of the auth service. */
  readonly address: string;
  readonly insecure: boolean;
  readonly caFile: string | undefined;
  /** One pin, or several with commas between them: each may be the one. */
  readonly caPin: string | undefined;
  readonly known: KnownAuthorities;
  /** Data directories of a cluster on this machine; looked at for loopback addresses only. */
  readonly dataDirectories: readonly string[];
  /** What the system trusts, PEM; default its store and the one that Node ships. */
  readonly systemAuthorities?: () => readonly string[];
  /** How long the server may be silent; default 10 seconds. */
  readonly timeoutMs?: number;
  /** Asks the server for its Host CA over a connection that nobody has checked, PEM. Sends nothing secret. */
  fetchAuthorities(): Promise<readonly string[]>;
  /** Asks the person whether a CA is the right one; `null` when nobody sits at a terminal. */
  readonly ask: ((authority: UnknownAuthority) => Promise<boolean>) | null;
  warn(text: string): void;
}

export interface UnknownAuthority {
  readonly address: string;
  readonly subject: string;
  readonly pin: string;
}

export type TrustOrigin = "insecure" | "ca-file" | "ca-pin" | "remembered" | "data-directory" | "system" | "asked";

export interface TrustDecision {
  readonly origin: TrustOrigin;
  readonly trust: ServerTrust;
  /** What to name in messages: a file or a pin. */
  readonly source: string;
}

/**
 * Decides by what the auth service is judged, before anything secret is sent to it: `--insecure`, a CA file, a CA pin,
 * a CA remembered for this address, the data directory on loopback, the system's trust store, else the person.
 * @throws {MezError} `SERVER_NOT_TRUSTED`, `INVALID_ARGUMENT` for a bad file or pin, `UNAVAILABLE`
 */
export async function decideTrust(request: TrustRequest): Promise<TrustDecision> {
  if (request.insecure) {
    request.warn(
      `warning: the certificate of ${request.address} is not checked (--insecure); anybody in between can read and change everything`,
    );
    return { origin: "insecure", trust: { kind: "none" }, source: "--insecure" };
  }
  if (request.caFile !== undefined) return authorities("ca-file", readAuthorities(request.caFile), request.caFile);
  if (request.caPin !== undefined) return byPin(request, parsePins(request.caPin));
  const remembered = request.known.recall(request.address);
  if (remembered !== null) return authorities("remembered", remembered, request.known.fileFor(request.address));
  return (await byDataDirectory(request)) ?? (await bySystemOrPerson(request));
}

// --- internal ---

function authorities(origin: TrustOrigin, certificatesPem: readonly string[], source: string): TrustDecision {
  return { origin, trust: { kind: "authorities", certificatesPem }, source };
}

function readAuthorities(file: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", `CA file ${file} cannot be read: ${systemReason(cause)}`, { cause });
  }
  return parseAuthorities(text, file);
}

async function byPin(request: TrustRequest, pins: readonly string[]): Promise<TrustDecision> {
  const source = pins.join(" or ");
  const matches = (certificate: string): boolean => pins.includes(pinOf(certificate)) && new X509Certificate(certificate).ca;
  const remembered = request.known.recall(request.address)?.filter(matches) ?? [];
  if (new Set(remembered.map(pinOf)).size === pins.length) return authorities("ca-pin", remembered, source);
  const { chain } = await probeServer(request.address, [], request.timeoutMs);
  const pinned = [...remembered, ...(await shownAuthorities(request, chain)).filter(matches)];
  if (pinned.length > 0) return authorities("ca-pin", pinned, source);
  throw new MezError(
    "SERVER_NOT_TRUSTED",
    `the server at ${request.address} is not the one that is pinned: its CA is ${shownPin(chain)}, not ${source}`,
  );
}

/** The cluster of a data directory is taken when the server is really one of it: a machine may run several. */
async function byDataDirectory({ address, dataDirectories, timeoutMs }: TrustRequest): Promise<TrustDecision | null> {
  if (!isLoopback(parseHostPort(address).host)) return null;
  for (const directory of dataDirectories) {
    const file = join(directory, HOST_CA_FILE);
    if (!isSafe(file)) continue;
    const certificates = readAuthorities(file);
    const { problem } = await probeServer(address, certificates, timeoutMs);
    if (problem === null) return authorities("data-directory", certificates, file);
  }
  return null;
}

/** Only what nobody but this user and root could have written. */
function isSafe(file: string): boolean {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats?.isFile() === true && (stats.mode & 0o022) === 0 && [0, process.getuid?.()].includes(stats.uid);
}

async function bySystemOrPerson(request: TrustRequest): Promise<TrustDecision> {
  const { address, ask, timeoutMs } = request;
  const system = (request.systemAuthorities ?? systemAuthorities)();
  const { chain, problem } = await probeServer(address, system, timeoutMs);
  if (problem === null) return authorities("system", system, "the system's trust store");
  if (problem.kind !== "authority") throw refused(`the certificate of ${address} ${problem.words}`);
  const candidate = await authorityOf(request, chain);
  const pin = pinOf(candidate);
  if (ask === null) {
    throw refused(
      `the certificate of ${address} is signed by a CA that is not known here (${pin})`,
      `compare it with "mezctl ca status" on the server, then add --ca-pin=${pin}`,
    );
  }
  const answer = await ask({ address, subject: new X509Certificate(candidate).subject.replaceAll("\n", ", "), pin });
  if (!answer) throw refused(`the CA of ${address} was not accepted`);
  request.known.remember(address, [candidate]);
  return authorities("asked", [candidate], request.known.fileFor(address));
}

/** The CA that really signed what the server shows: a copied CA certificate in front of another leaf does not count. */
async function authorityOf(request: TrustRequest, chain: readonly string[]): Promise<string> {
  for (const candidate of await shownAuthorities(request, chain)) {
    const { problem } = await probeServer(request.address, [candidate], request.timeoutMs);
    if (problem === null) return candidate;
    if (problem.kind !== "authority") throw refused(`the certificate of ${request.address} ${problem.words}`);
  }
  throw refused(`the certificate of ${request.address} is not signed by the CA that the server shows`);
}

/** The CAs behind the leaf; when it is shown alone, those that the server names when asked. Nothing of it is proved yet. */
async function shownAuthorities(request: TrustRequest, chain: readonly string[]): Promise<readonly string[]> {
  const shown = chain.filter((certificate) => new X509Certificate(certificate).ca);
  return shown.length > 0 ? shown : request.fetchAuthorities().catch(() => []);
}

function shownPin(chain: readonly string[]): string {
  const authority = chain.find((certificate) => new X509Certificate(certificate).ca);
  return authority === undefined ? "not shown" : pinOf(authority);
}

function systemAuthorities(): readonly string[] {
  return [...new Set([...getCACertificates("system"), ...getCACertificates("bundled")])];
}

function refused(message: string, hint?: string): MezError {
  return new MezError("SERVER_NOT_TRUSTED", message, hint === undefined ? {} : { fields: { hint } });
}
