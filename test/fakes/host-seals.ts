import type { ErrorCode } from "../../core/errors/codes.js";
import { MezError } from "../../core/errors/error.js";
import { localSigner } from "../../core/ssh/certificate-issue.js";
import { signFile } from "../../core/ssh/file-signature.js";
import { type FormerKey, vouchFor } from "../../core/ssh/former-key.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import type { HostSeals, SealKeys } from "../../plugins/ca/api.js";

/** Seals that work, with a key in memory that can be rotated, and can be told to fail. */
export class FakeHostSeals implements HostSeals {
  #signer = localSigner(generateSshKeyPair());
  readonly #former: FormerKey[] = [];
  #failNextSeal: ErrorCode | null = null;

  /** The next call of `seal` fails with this code; those after it work. */
  failNextSeal(code: ErrorCode): void {
    this.#failNextSeal = code;
  }

  /** Goes over to another key, which vouches for the one before. */
  async rotate(): Promise<void> {
    const old = this.#signer;
    this.#signer = localSigner(generateSshKeyPair());
    this.#former.push(await vouchFor(old.publicKeyBlob.toString("base64"), this.#signer));
  }

  async seal(namespace: string, statement: Buffer): Promise<string> {
    const code = this.#failNextSeal;
    this.#failNextSeal = null;
    if (code !== null) throw new MezError(code, "the fake seals were told to fail");
    return signFile(this.#signer, namespace, statement);
  }

  async keys(): Promise<SealKeys> {
    return { trusted: [this.#signer.publicKeyBlob.toString("base64")], former: [...this.#former] };
  }
}
