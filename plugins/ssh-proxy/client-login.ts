import { isIPv4 } from "node:net";
import { isMezError } from "../../core/errors/error.js";
import type {
  AuthenticationAttempt,
  AuthenticationDecision,
  KeyboardInteractiveAttempt,
} from "../../core/ssh/authentication-attempt.js";
import type { SshCertificate } from "../../core/ssh/certificate.js";
import type { SshPeer } from "../../core/ssh/server-connection.js";
import type { Clock } from "../../core/time/clock.js";
import type { SessionProof } from "../mfa/api.js";
import type { CertificateGate, CertifiedPerson } from "./certificate-gate.js";
import type { DenialLog } from "./denial-log.js";
import { FACTOR_GRACE_MS, type FactorQuestion } from "./factor-question.js";
import type { FactorState, SessionPolicy } from "./session-policy.js";

/** Who is at the other end of a connection, and the second factor that it has for one session. */
export interface ClientIdentity {
  readonly person: CertifiedPerson;
  readonly factor: ConnectionFactor;
}

export interface ClientLoginParts {
  readonly gate: CertificateGate;
  readonly policy: SessionPolicy;
  readonly denials: DenialLog;
  readonly factorQuestion: FactorQuestion;
  readonly clock: Clock;
}

/** The second factor of one connection: proven at its login, good for one session, soon after. */
export class ConnectionFactor {
  #state: FactorState;
  readonly #provenAt: number;

  constructor(
    state: FactorState,
    private readonly clock: Clock,
  ) {
    this.#state = state;
    this.#provenAt = clock.now().getTime();
  }

  /** What it is good for now. */
  get state(): FactorState {
    if (this.#state.kind === null || this.clock.now().getTime() - this.#provenAt < FRESH_MS) return this.#state;
    return { kind: null, missingBecause: "this connection proved one too long ago; open a new one" };
  }

  /** Uses it up. */
  take(): FactorState["kind"] {
    const { kind } = this.state;
    if (kind !== null) this.#state = { kind: null, missingBecause: "this connection has used its own up; open a new one" };
    return kind;
  }
}

/** Lets clients log in to the proxy: a certificate, then a second factor when a node that the person reaches wants one. */
export class ClientLogin {
  /** Clients whose certificate is proven, and the question that they have to answer. */
  readonly #asked = new WeakMap<SshPeer, { readonly person: CertifiedPerson; readonly proof: SessionProof }>();

  constructor(private readonly parts: ClientLoginParts) {}

  /** @param peer The same object for each attempt of one connection. Accepts `null` for a key that is not proven yet. */
  async authenticate(attempt: AuthenticationAttempt, peer: SshPeer): Promise<AuthenticationDecision<ClientIdentity | null>> {
    if (attempt.method === "keyboard-interactive") return this.#answer(attempt, peer);
    if (attempt.certificate === null) return { reject: null, methods: PUBLIC_KEY }; // OpenSSH tries the plain key first
    // Whether a certificate would do is only told to those who hold its key, so that every refusal has somebody to name.
    if (!attempt.isProven) return { accept: null };
    const person = this.identify(attempt.certificate, attempt.user, peer.remoteAddress);
    const demanded = this.parts.policy.factorDemand(person);
    if (demanded === null) return { accept: { person, factor: this.noFactor() } };
    const prepared = await this.parts.factorQuestion.prepare(person, demanded, plainAddress(peer.remoteAddress));
    if ("missingBecause" in prepared)
      return { accept: this.#identity(person, { kind: null, missingBecause: prepared.missingBecause }) };
    this.#asked.set(peer, { person, proof: prepared.proof });
    return { reject: null, methods: ["keyboard-interactive"], isPartial: true, graceMs: FACTOR_GRACE_MS };
  }

  /**
   * Who it is whose key is proven; a refusal is told to the audit log.
   * @param login The login name at the proxy.
   * @throws {MezError} `SSH_CERTIFICATE_REFUSED`, `ACCESS_DENIED`, `UNAVAILABLE`; the message may be shown to the client
   */
  identify(certificate: SshCertificate, login: string, remoteAddress: string): CertifiedPerson {
    const { gate, policy, denials } = this.parts;
    const clientAddress = plainAddress(remoteAddress);
    try {
      policy.requireFresh();
      return gate.identify(certificate, login, clientAddress);
    } catch (error) {
      if (isMezError(error)) denials.login(certificate, gate.isOurs(certificate), clientAddress, error);
      throw error;
    }
  }

  async #answer(attempt: KeyboardInteractiveAttempt, peer: SshPeer): Promise<AuthenticationDecision<ClientIdentity>> {
    const asked = this.#asked.get(peer);
    this.#asked.delete(peer); // one question for each proof of the key
    if (asked === undefined) return { reject: null, methods: PUBLIC_KEY };
    const { person, proof } = asked;
    try {
      const factor = await this.parts.factorQuestion.ask(person, proof, attempt);
      this.parts.gate.check(person, plainAddress(peer.remoteAddress)); // time has passed
      return { accept: this.#identity(person, factor) };
    } catch (error) {
      if (!isMezError(error)) throw error;
      return { reject: error.message, methods: PUBLIC_KEY };
    }
  }

  /** Of a connection that was not asked for one. */
  noFactor(): ConnectionFactor {
    return new ConnectionFactor({ kind: null, missingBecause: NOT_ASKED }, this.parts.clock);
  }

  #identity(person: CertifiedPerson, factor: FactorState): ClientIdentity {
    return { person, factor: new ConnectionFactor(factor, this.parts.clock) };
  }
}

/** IPv4 inside IPv6, as a port that listens on both sees it, becomes IPv4. */
export function plainAddress(address: string): string {
  const mapped = address.startsWith("::ffff:") ? address.slice(7) : "";
  return isIPv4(mapped) ? mapped : address;
}

// --- internal ---

const PUBLIC_KEY = ["publickey"];
/** What the person may reach has changed since. */
const NOT_ASKED = "open a new connection to be asked for one";
const FRESH_MS = 120_000;
