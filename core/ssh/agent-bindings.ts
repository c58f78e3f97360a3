import { isMezError } from "../errors/error.js";
import { coversHop, type Destination } from "./agent-destinations.js";
import { isCertificateType, parseCertificate } from "./certificate.js";
import { verifySignature } from "./signature.js";
import { WireReader } from "./wire.js";

/** The extension by which ssh says for which session a connection to its agent is used. */
export const SESSION_BIND = "session-bind@openssh.com";

/** What ssh says: the host proved by its signature that the session is with it. */
export interface SessionBinding {
  /** Key or certificate of the host. */
  readonly hostKeyBlob: Buffer;
  readonly sessionId: Buffer;
  /** Of the session id, by the host. */
  readonly signature: Buffer;
  /** The connection is handed on to the host; otherwise it is used to log in there. */
  readonly isForwarding: boolean;
}

/**
 * The sessions that one connection to an agent is used for, in the order of their hops: a key that is restricted to
 * destinations is shown and signs for those alone.
 * @see OpenSSH PROTOCOL.agent, 1 and 2
 */
export class SessionBindings {
  readonly #sessions: SessionBinding[] = [];
  #hasTried = false;

  constructor(private readonly now: () => Date) {}

  /** @returns `false` when it is not believed; then no restricted key is shown on a connection that has no better. */
  bind(binding: SessionBinding): boolean {
    this.#hasTried = true;
    if (!isProven(binding)) return false;
    for (const known of this.#sessions) {
      if (!known.isForwarding) return false; // after a login nothing comes
      if (!known.sessionId.equals(binding.sessionId)) continue;
      return known.hostKeyBlob.equals(binding.hostKeyBlob);
    }
    if (this.#sessions.length >= MAX_SESSIONS) return false;
    const { hostKeyBlob, sessionId, signature, isForwarding } = binding;
    const copies = [hostKeyBlob, sessionId, signature].map((bytes) => Buffer.from(bytes)) as [Buffer, Buffer, Buffer];
    this.#sessions.push({ hostKeyBlob: copies[0], sessionId: copies[1], signature: copies[2], isForwarding });
    return true;
  }

  /** Whether a key may be seen here, e.g. in a list. */
  shows(destinations: readonly Destination[]): boolean {
    const last = this.#sessions.at(-1);
    if (destinations.length === 0) return true;
    if (last === undefined) return !this.#hasTried;
    // At a host that it was handed on to, a key is seen that may be used from there.
    const hop = { from: last.hostKeyBlob, to: null, user: null };
    return this.#isOnTheWay(destinations, null) && (!last.isForwarding || coversHop(destinations, hop, this.now()));
  }

  /** Whether a key may sign something: the login of the session that was bound last, and nothing else. */
  signs(destinations: readonly Destination[], keyBlob: Buffer, data: Buffer): boolean {
    if (destinations.length === 0) return true;
    const last = this.#sessions.at(-1);
    const login = readLogin(data, keyBlob);
    if (last === undefined || last.isForwarding || login === null) return false;
    if (!login.sessionId.equals(last.sessionId) || !this.#isOnTheWay(destinations, login.user)) return false;
    return login.hostKey === null ? this.#sessions.length === 1 : login.hostKey.equals(last.hostKeyBlob);
  }

  #isOnTheWay(destinations: readonly Destination[], user: string | null): boolean {
    return this.#sessions.every(({ hostKeyBlob: to, isForwarding }, index) => {
      const isLast = index === this.#sessions.length - 1;
      const from = this.#sessions[index - 1]?.hostKeyBlob ?? null;
      return (isLast || isForwarding) && coversHop(destinations, { from, to, user: isLast ? user : null }, this.now());
    });
  }
}

// --- internal ---

const MAX_SESSIONS = 16; // as OpenSSH has it
const USERAUTH_REQUEST = 50; // RFC 4252, 6

function isProven({ hostKeyBlob, sessionId, signature }: SessionBinding): boolean {
  try {
    verifySignature(plainKeyOf(hostKeyBlob), sessionId, signature);
    return sessionId.length > 0;
  } catch (error) {
    if (isMezError(error)) return false;
    throw error;
  }
}

/** The key itself, where a certificate may stand. */
function plainKeyOf(blob: Buffer): Buffer {
  return isCertificateType(new WireReader(blob, "key").text()) ? parseCertificate(blob).subjectBlob : blob;
}

interface Login {
  readonly sessionId: Buffer;
  readonly user: string;
  /** That the request itself names; `null` in the ordinary method. */
  readonly hostKey: Buffer | null;
}

/** What is signed to log in with a key, RFC 4252, 7; `null` when it is anything else. */
function readLogin(data: Buffer, keyBlob: Buffer): Login | null {
  try {
    const reader = new WireReader(data, "login");
    const [sessionId, type, user] = [reader.string(), reader.byte(), reader.text()];
    const [service, method, isSigned] = [reader.text(), reader.text(), reader.boolean()];
    reader.text(); // the algorithm, which the key decides
    // ssh logs in with a certificate and has the key below it sign.
    const isOurs = plainKeyOf(reader.string()).equals(plainKeyOf(keyBlob));
    const isBound = method === "publickey-hostbound-v00@openssh.com";
    const hostKey = isBound ? reader.string() : null;
    reader.end();
    const isLogin = type === USERAUTH_REQUEST && service === "ssh-connection" && isSigned && (isBound || method === "publickey");
    return isLogin && isOurs ? { sessionId, user, hostKey } : null;
  } catch (error) {
    if (isMezError(error)) return null;
    throw error;
  }
}
