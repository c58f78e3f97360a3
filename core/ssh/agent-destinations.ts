import { isMezError, MezError } from "../errors/error.js";
import { isCertificateType, parseCertificate } from "./certificate.js";
import { checkCertificate } from "./certificate-check.js";
import { WireReader } from "./wire.js";

/** The constraint of `ssh-add -h`. */
export const RESTRICT_DESTINATION = "restrict-destination-v00@openssh.com";

/** A hop that a key may be used for: from a host, or from the machine of the agent, to a host. */
export interface Destination {
  /** `null` for the machine of the agent. */
  readonly from: DestinationHost | null;
  readonly to: DestinationHost;
  /** Pattern with `*` and `?` for the login there; empty for any. */
  readonly user: string;
}

/** A host by the keys that it may show, or that may have signed its certificate. */
export interface DestinationHost {
  readonly name: string;
  readonly keys: readonly { readonly blob: Buffer; readonly isAuthority: boolean }[];
}

/**
 * Reads the constraint: one hop or more.
 * @throws {MezError} `SSH_MALFORMED`; `SSH_KEY_UNSUPPORTED` for what it would have to keep and does not know
 * @see OpenSSH PROTOCOL.agent, 2
 */
export function readDestinations(bytes: Buffer): readonly Destination[] {
  const reader = new WireReader(bytes, "restriction of a key");
  const destinations: Destination[] = [];
  while (!reader.isAtEnd && destinations.length <= MAX_DESTINATIONS) destinations.push(readDestination(reader.string()));
  if (destinations.length === 0 || destinations.length > MAX_DESTINATIONS)
    throw new MezError("SSH_MALFORMED", `a restriction of a key has 1 to ${MAX_DESTINATIONS} destinations`);
  return destinations;
}

/** A hop as it was really made. */
export interface Hop {
  /** Key or certificate of the host that it began at; `null` for the machine of the agent. */
  readonly from: Buffer | null;
  /** The same of the host that it led to; `null` asks for any. */
  readonly to: Buffer | null;
  /** Login there; `null` when it is not known. */
  readonly user: string | null;
}

/** Tells whether any of the destinations covers a hop. */
export function coversHop(destinations: readonly Destination[], { from, to, user }: Hop, now: Date): boolean {
  return destinations.some(
    (allowed) =>
      (from === null ? allowed.from === null : allowed.from !== null && isHost(from, allowed.from, now)) &&
      (to === null || isHost(to, allowed.to, now)) &&
      (user === null || allowed.user === "" || matches(user, allowed.user)),
  );
}

// --- internal ---

const MAX_DESTINATIONS = 1_024; // as OpenSSH has it

function readDestination(bytes: Buffer): Destination {
  const reader = new WireReader(bytes, "destination of a key");
  const [from, to] = [readEnd(reader.string()), readEnd(reader.string())];
  if (reader.string().length > 0) throw unknownPart();
  reader.end();
  if (from.user !== "" || (from.name === "") !== (from.keys.length === 0) || to.name === "" || to.keys.length === 0)
    throw new MezError("SSH_MALFORMED", "a destination of a key leads from a host, or from here, to a host");
  const { user, ...host } = to;
  return { from: from.name === "" ? null : { name: from.name, keys: from.keys }, to: host, user };
}

function readEnd(bytes: Buffer): DestinationHost & { readonly user: string } {
  const reader = new WireReader(bytes, "end of a hop");
  const [user, name] = [reader.text(), reader.text()];
  if (reader.string().length > 0) throw unknownPart();
  const keys: { blob: Buffer; isAuthority: boolean }[] = [];
  while (!reader.isAtEnd) keys.push({ blob: Buffer.from(reader.string()), isAuthority: reader.boolean() });
  return { user, name, keys };
}

function unknownPart(): MezError {
  return new MezError("SSH_KEY_UNSUPPORTED", "the restriction of the key says more than this agent understands");
}

function isHost(shown: Buffer, { name, keys }: DestinationHost, now: Date): boolean {
  if (!isCertificateType(new WireReader(shown, "host key").text()))
    return keys.some(({ blob, isAuthority }) => !isAuthority && blob.equals(shown));
  const authorities = keys.filter(({ isAuthority }) => isAuthority).map(({ blob }) => blob);
  try {
    checkCertificate(parseCertificate(shown), { role: "host", authorities, principal: name, now });
    return true;
  } catch (error) {
    if (isMezError(error)) return false;
    throw error;
  }
}

/** `*` and `?` as ssh_config(5) has them; in the time of text by pattern, whatever they are. */
function matches(text: string, pattern: string): boolean {
  let [at, inPattern, star, retry] = [0, 0, -1, 0];
  while (at < text.length) {
    const wanted = pattern[inPattern];
    if (wanted === "*") {
      star = inPattern++;
      retry = at;
    } else if (wanted === "?" || wanted === text[at]) {
      inPattern++;
      at++;
    } else if (star >= 0) {
      inPattern = star + 1;
      at = ++retry;
    } else return false;
  }
  while (pattern[inPattern] === "*") inPattern++;
  return inPattern === pattern.length;
}
