import { isMezError, MezError } from "../errors/error.js";
import type { AuthenticationAttempt, AuthenticationDecision, KeyboardInteractiveAttempt } from "./authentication-attempt.js";
import type { SshCertificate } from "./certificate.js";
import { readOfferedKey } from "./offered-key.js";
import { verifySignature } from "./signature.js";
import type { Protocol } from "./ssh2-internals.js";
import { DISCONNECT, sendDisconnect, sendPayload, transportOf } from "./transport.js";
import { string, WireReader } from "./wire.js";

export interface UserAuthenticationOptions<Identity> {
  /** A `MezError` that it throws is a refusal with the error's message; any other error is one without a reason. */
  authenticate(attempt: AuthenticationAttempt): Promise<AuthenticationDecision<Identity>>;
  readonly methods: readonly string[];
  /** Those that a refusal names, unless it says which itself. */
  readonly offeredMethods: readonly string[];
  readonly maxTries: number;
  /** Gives the client more time. */
  extendGrace(ms: number): void;
  onAccepted(identity: Identity, user: string): void;
  /** The connection must be closed; the client was told why. */
  onGivenUp(reason: string): void;
  /** An error that is ours. */
  onError(error: unknown): void;
}

/**
 * The server's side of SSH user authentication for one connection: one attempt at a time, in order, capped. An
 * identity is only ever taken from an attempt that carried a verified signature.
 * @see RFC 4252, RFC 4256
 */
export class UserAuthentication<Identity> {
  readonly #waiting: Buffer[] = [];
  readonly #bannersSent = new Set<string>();
  #isBusy = false;
  #isOver = false;
  #user: string | null = null;
  #failures = 0;
  #requests = 0;
  #certificate: SshCertificate | null = null;
  /** Of the question that a person is asked now. */
  #asking: AbortController | null = null;

  constructor(
    private readonly protocol: Protocol,
    private readonly options: UserAuthenticationOptions<Identity>,
  ) {
    transportOf(protocol).onUserAuthRequest = (payload) => this.#receive(payload);
  }

  /** Stops: nothing that is still under way will let anybody in. */
  end(): void {
    this.#isOver = true;
    this.#waiting.length = 0;
    this.#asking?.abort(promptAborted());
  }

  #receive(payload: Buffer): void {
    if (this.#isOver) return; // RFC 4252, 5.1: requests after success are ignored
    if (++this.#requests > REQUESTS_PER_TRY * this.options.maxTries || this.#waiting.length >= MAX_WAITING)
      return this.#giveUp(TOO_MANY);
    this.#waiting.push(payload);
    this.#asking?.abort(promptAborted());
    if (!this.#isBusy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#isBusy = true;
    for (let next = this.#waiting.shift(); next !== undefined && !this.#isOver; next = this.#waiting.shift()) {
      try {
        await this.#answer(next);
      } catch (error) {
        if (!isMezError(error, "SSH_MALFORMED")) this.options.onError(error);
        this.#giveUp("malformed authentication request");
      }
    }
    this.#isBusy = false;
  }

  async #answer(payload: Buffer): Promise<void> {
    const reader = new WireReader(payload.subarray(1), "authentication request");
    const [user, service, method] = [reader.text(), reader.text(), reader.text()];
    if (user.length > MAX_LOGIN_CHARACTERS) return this.#giveUp("the login name is too long");
    if (service !== "ssh-connection")
      return this.#giveUp(`service "${service.slice(0, 40)}" is not available`, DISCONNECT.serviceNotAvailable);
    if (this.#user !== null && this.#user !== user) return this.#giveUp("the login name may not change during authentication");
    this.#user = user;
    this.protocol._authsQueue.push(method);
    if (method === "publickey" && this.options.methods.includes(method)) return this.#answerPublicKey(user, reader, payload);
    if (method === "keyboard-interactive" && this.options.methods.includes(method)) return this.#answerKeyboard(user, reader);
    if (method !== "none" || this.#requests > 1) this.#failures++;
    this.#refuse({ reject: null });
  }

  async #answerPublicKey(user: string, reader: WireReader, payload: Buffer): Promise<void> {
    const hasSignature = reader.boolean();
    const algorithm = reader.text();
    const blob = reader.string();
    const signedEnd = 1 + reader.position;
    const signature = hasSignature ? reader.string() : null;
    reader.end();
    let decision: AuthenticationDecision<Identity>;
    try {
      const { certificate, publicKeyBlob, signatureAlgorithm } = readOfferedKey(algorithm, blob, this.#certificate);
      this.#certificate = certificate ?? this.#certificate; // the signed request follows the question: what was checked once stays checked
      if (signature !== null) {
        const signed = Buffer.concat([string(this.protocol._kex?.sessionID ?? Buffer.alloc(0)), payload.subarray(0, signedEnd)]);
        verifySignature(publicKeyBlob, signed, signature, signatureAlgorithm);
      }
      decision = await this.options.authenticate({
        method: "publickey",
        user,
        publicKeyBlob,
        certificate,
        isProven: signature !== null,
      });
    } catch (error) {
      decision = this.#refusalFor(error);
    }
    if (this.#isOver) return;
    if (!("accept" in decision)) {
      if (!decision.isPartial) this.#failures++;
      this.#refuse(decision);
    } else if (signature === null) {
      this.protocol.authPKOK(algorithm, blob);
    } else {
      this.#accept(decision.accept, user);
    }
  }

  async #answerKeyboard(user: string, reader: WireReader): Promise<void> {
    reader.string(); // language
    reader.string(); // submethods
    reader.end();
    const asking = new AbortController();
    const { signal } = asking;
    this.#asking = asking;
    const prompt: KeyboardInteractiveAttempt["prompt"] = (instruction, questions) =>
      new Promise((resolve, reject) => {
        if (this.#isOver) asking.abort(promptAborted());
        if (signal.aborted) return reject(signal.reason);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        this.protocol._handlers.USERAUTH_INFO_RESPONSE = (_protocol, responses) => resolve(responses);
        this.protocol.authInfoReq(
          "",
          instruction,
          questions.map((question) => ({ ...question })),
        );
      });
    let decision: AuthenticationDecision<Identity>;
    try {
      decision = await this.options.authenticate({ method: "keyboard-interactive", user, signal, prompt });
    } catch (error) {
      decision = this.#refusalFor(error);
    }
    this.#asking = null;
    if (this.#isOver) return;
    if (signal.aborted) {
      this.protocol._authsQueue.shift(); // RFC 4252, 5.3: an abandoned request gets no answer of its own
      this.#failures++;
    } else if ("accept" in decision) {
      this.#accept(decision.accept, user);
    } else {
      if (!decision.isPartial) this.#failures++;
      this.#refuse(decision);
    }
  }

  #refusalFor(error: unknown): { readonly reject: string | null } {
    if (error instanceof MezError && error.kind !== "internal") return { reject: error.message };
    this.options.onError(error);
    return { reject: null };
  }

  #accept(identity: Identity, user: string): void {
    this.#isOver = true;
    this.#waiting.length = 0;
    this.protocol.authSuccess();
    this.options.onAccepted(identity, user);
  }

  #refuse(refusal: Exclude<AuthenticationDecision<Identity>, { accept: Identity }>): void {
    if (refusal.reject !== null) this.#sendBanner(refusal.reject);
    if (this.#failures >= this.options.maxTries) return this.#giveUp(TOO_MANY);
    if (refusal.graceMs !== undefined) this.options.extendGrace(refusal.graceMs);
    this.protocol.authFailure([...(refusal.methods ?? this.options.offeredMethods)], refusal.isPartial ?? false);
  }

  /** OpenSSH prints it on stderr. Each text once: a client tries several keys. */
  #sendBanner(text: string): void {
    const line = text.replace(/[\x00-\x1f\x7f]+/g, " ").slice(0, 500);
    if (this.#bannersSent.has(line)) return;
    this.#bannersSent.add(line);
    sendPayload(this.protocol, Buffer.concat([Buffer.of(53), string(`${line}\r\n`), string("")]));
  }

  #giveUp(reason: string, code: number = DISCONNECT.protocolError): void {
    if (this.#isOver) return;
    this.end();
    sendDisconnect(this.protocol, code, reason);
    this.options.onGivenUp(reason);
  }
}

// --- internal ---

const TOO_MANY = "Too many authentication failures"; // the words that OpenSSH's users know
const MAX_WAITING = 10;
/** It stands in logs, audit records and sentences for people. No system has longer ones. */
const MAX_LOGIN_CHARACTERS = 256;
/** Questions about keys that we would accept are no failures, but are bounded too. */
const REQUESTS_PER_TRY = 4;

function promptAborted(): MezError {
  return new MezError("SSH_AUTHENTICATION_FAILED", "the client did not answer the question");
}
