import { MezError } from "../../core/errors/error.js";
import type { ProvenKind } from "./api.js";

/** What a person can have; a hardware key is a WebAuthn credential that stays in a device that can be unplugged. */
export type FactorKind = "totp" | "webauthn" | "hardware_key";

/** One second factor of a person. */
export interface Factor {
  /** UUID. */
  readonly id: string;
  readonly userName: string;
  readonly kind: FactorKind;
  /** Unique for the person. */
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
}

export interface TotpFactor extends Factor {
  readonly kind: "totp";
  readonly sealedSecret: string;
  /** The newest time step of which a code was taken. */
  readonly lastStep: number;
}

export interface WebAuthnFactor extends Factor {
  readonly kind: "webauthn" | "hardware_key";
  /** Base64url. */
  readonly credentialId: string;
  /** COSE key, base64url. */
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  /** Host name that the credential works under. */
  readonly rpId: string;
}

export type StoredFactor = TotpFactor | WebAuthnFactor;

export const MAX_FACTORS = 10;

/** Tells whether a proven kind is as strong as what is demanded, or stronger. */
export function isEnough(proven: ProvenKind, demanded: FactorKind): boolean {
  return STRENGTH.indexOf(proven) >= STRENGTH.indexOf(demanded);
}

/** The kind of a factor in a sentence. */
export function kindInWords(kind: ProvenKind): string {
  return WORDS[kind];
}

/** What seals a TOTP secret to its row. */
export function secretContext(id: string): string {
  return `mfa totp ${id}`;
}

/**
 * A factor's name as a person gave it; with nothing given, a usual one that is free.
 * @throws {MezError} `INVALID_ARGUMENT`, `ALREADY_EXISTS`
 */
export function chooseName(wanted: string, kind: FactorKind, taken: readonly string[]): string {
  const name = wanted.trim();
  if (name === "") {
    for (let count = 1; ; count++) {
      const usual = count === 1 ? USUAL_NAMES[kind] : `${USUAL_NAMES[kind]}-${count}`;
      if (!taken.includes(usual)) return usual;
    }
  }
  if (!NAME.test(name))
    throw new MezError(
      "INVALID_ARGUMENT",
      "the name of a factor has 1 to 64 letters, digits, spaces and ._- and begins with a letter or digit",
    );
  if (taken.includes(name))
    throw new MezError("ALREADY_EXISTS", `there is a factor named "${name}" already; choose another name`);
  return name;
}

// --- internal ---

const STRENGTH: readonly ProvenKind[] = ["recovery_code", "totp", "webauthn", "hardware_key"];
const USUAL_NAMES = { totp: "authenticator-app", webauthn: "passkey", hardware_key: "security-key" } as const;
const WORDS: Readonly<Record<ProvenKind, string>> = {
  totp: "a code of an authenticator app",
  webauthn: "a passkey or security key",
  hardware_key: "a hardware security key",
  recovery_code: "a recovery code",
};
const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u;
