import type { Handle, PKCS11, TokenInfo } from "pkcs11js";
import type { KeyAlgorithm } from "../../../core/ports/key-backend.js";
import { type KeyObjects, makeKeyObjects } from "./key-objects.js";
import { CKR, failureOf, returnValueOf, TokenError } from "./token-error.js";

/** A session of one token, logged in. Every call blocks its thread. */
export class TokenSession {
  #objects: KeyObjects | null = null;
  #session: Handle | null = null;

  constructor(private readonly library: PKCS11) {}

  /**
   * Opens a session in place of the one before. One thread of the process at a time, so that a wrong PIN is tried once.
   * @throws {TokenError} `absent`, `full`, `refused`
   */
  open(label: string, pin: string): void {
    this.close();
    initialize(this.library);
    const { slot, info } = this.#find(label);
    refuseToRisk(label, info);
    try {
      this.#session = this.library.C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION);
      this.library.C_Login(this.#session, CKU_USER, pin);
    } catch (error) {
      if (returnValueOf(error) !== CKR.USER_ALREADY_LOGGED_IN || this.#session === null) {
        this.close();
        throw inWords(error, label);
      }
    }
    this.#objects = makeKeyObjects(this.library, this.#session);
  }

  /** @returns SubjectPublicKeyInfo, DER. */
  generate(algorithm: KeyAlgorithm, id: Buffer): Buffer {
    return this.#use((objects) => objects.generate(algorithm, id));
  }

  sign(id: Buffer, data: Buffer): Buffer {
    return this.#use((objects) => objects.sign(id, data));
  }

  destroy(id: Buffer): void {
    this.#use((objects) => objects.destroy(id));
  }

  forget(id: Buffer): void {
    this.#objects?.forget(id);
  }

  close(): void {
    const session = this.#session;
    this.#session = null;
    this.#objects = null;
    if (session === null) return;
    try {
      this.library.C_CloseSession(session);
    } catch {
      // It is gone already, which is what was wanted.
    }
  }

  /** After an error nobody knows what state the session is in: the next call begins with a new one. */
  #use<T>(work: (objects: KeyObjects) => T): T {
    if (this.#objects === null) throw new TokenError("lost", "there is no session");
    try {
      return work(this.#objects);
    } catch (error) {
      const { kind } = failureOf(error);
      if (kind !== "unknown-key" && kind !== "unsupported") this.close();
      throw error;
    }
  }

  #find(label: string): { readonly slot: Handle; readonly info: TokenInfo } {
    const tokens = this.library.C_GetSlotList(true).flatMap((slot) => {
      try {
        return [{ slot, info: this.library.C_GetTokenInfo(slot) }];
      } catch {
        return []; // taken out meanwhile
      }
    });
    const labelled = tokens.filter(({ info }) => info.label.trimEnd() === label);
    const [found] = labelled;
    if (found === undefined) {
      const others = tokens.map(({ info }) => `"${info.label.trimEnd()}"`);
      throw new TokenError(
        "absent",
        `the module shows no token "${label}"${others.length > 0 ? `; it shows ${others.join(", ")}` : ""}`,
      );
    }
    if (labelled.length > 1) throw new TokenError("refused", `the module shows ${labelled.length} tokens "${label}"`);
    return found;
  }
}

// --- internal ---

// PKCS #11 3.0, pkcs11t.h
const CKF_RW_SESSION = 0x2;
const CKF_SERIAL_SESSION = 0x4;
const CKF_OS_LOCKING_OK = 0x2;
const CKF_USER_PIN_FINAL_TRY = 0x20000;
const CKF_USER_PIN_LOCKED = 0x40000;
const CKU_USER = 1;

function initialize(library: PKCS11): void {
  try {
    library.C_Initialize({ flags: CKF_OS_LOCKING_OK });
  } catch (error) {
    const code = returnValueOf(error);
    if (code === CKR.CANT_LOCK) throw new TokenError("refused", "the module cannot be used by more than one thread");
    if (code !== CKR.CRYPTOKI_ALREADY_INITIALIZED) throw new TokenError("absent", `the module does not start: ${wordOf(error)}`);
  }
}

/** A PIN that is wrong must not be what locks the token. */
function refuseToRisk(label: string, { flags }: TokenInfo): void {
  if ((flags & CKF_USER_PIN_LOCKED) !== 0) throw new TokenError("refused", `the PIN of token "${label}" is locked`);
  if ((flags & CKF_USER_PIN_FINAL_TRY) !== 0)
    throw new TokenError(
      "refused",
      `one more wrong PIN would lock token "${label}"; log in once with the right one, by a tool of the token`,
    );
}

function inWords(error: unknown, label: string): TokenError {
  const { kind } = failureOf(error);
  const word = wordOf(error);
  if (kind === "refused") return new TokenError("refused", `token "${label}" does not take the PIN (${word})`);
  return new TokenError(kind === "full" ? "full" : "absent", `token "${label}" opens no session (${word})`);
}

function wordOf(error: unknown): string {
  return failureOf(error).message;
}
