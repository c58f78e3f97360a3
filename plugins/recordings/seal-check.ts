import { createHash } from "node:crypto";
import { isMezError, MezError } from "../../core/errors/error.js";
import { verifyFileSignature } from "../../core/ssh/file-signature.js";
import { believedKeys, type FormerKey } from "../../core/ssh/former-key.js";
import { fingerprintOf } from "../../core/ssh/public-key.js";
import { parseStatement, SEAL_NAMESPACE, type Seal, type SealedFacts } from "./seal.js";

/** A seal and the keys that it may be from. */
export interface PresentedSeal extends Seal {
  /** Wire form in base64. */
  readonly trustedKeys: readonly string[];
  readonly formerKeys: readonly FormerKey[];
}

/** Compares the bytes of a recording, while they come, with what was sealed. */
export class SealCheck {
  readonly #hash = createHash("sha256");
  #sizeBytes = 0;

  private constructor(
    readonly facts: SealedFacts,
    /** Of the key that signed: `SHA256:…` */
    readonly keyFingerprint: string,
  ) {}

  /**
   * Verifies the seal itself.
   * @param id Of the recording that it must be for.
   * @throws {MezError} `SEAL_BROKEN` when the Host CA did not make it, or made it for something else
   */
  static begin(id: string, seal: PresentedSeal): SealCheck {
    const key = signerOf(id, seal);
    if (!believedKeys(seal.trustedKeys, seal.formerKeys).has(key.toString("base64")))
      throw new MezError(
        "SEAL_BROKEN",
        `the seal of recording ${id} was made by ${fingerprintOf(key)}, which is no key of the Host CA`,
      );
    const facts = parseStatement(seal.statement);
    if (facts.id !== id) throw new MezError("SEAL_BROKEN", `the seal is for recording ${facts.id.slice(0, 60)}, not for ${id}`);
    return new SealCheck(facts, fingerprintOf(key));
  }

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#sizeBytes += bytes.length;
  }

  /** @throws {MezError} `SEAL_BROKEN` when the bytes that were added are not those that were sealed */
  end(): void {
    const { id, sizeBytes, sha256, sealedAt } = this.facts;
    const found = this.#hash.digest("hex");
    if (found === sha256 && this.#sizeBytes === sizeBytes) return;
    throw new MezError(
      "SEAL_BROKEN",
      `recording ${id} was changed after it was sealed on ${sealedAt}: it has ${this.#sizeBytes} bytes with SHA-256 ${found}, sealed were ${sizeBytes} bytes with ${sha256}`,
    );
  }
}

// --- internal ---

function signerOf(id: string, { statement, signature }: Seal): Buffer {
  try {
    return verifyFileSignature(signature, SEAL_NAMESPACE, Buffer.from(statement));
  } catch (cause) {
    if (!isMezError(cause)) throw cause;
    throw new MezError("SEAL_BROKEN", `the seal of recording ${id} is not genuine: ${cause.message}`, { cause });
  }
}
