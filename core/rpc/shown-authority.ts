import { createHash, X509Certificate } from "node:crypto";

/**
 * Which authority signed the certificates that servers showed on a connection, whose chains were checked. What a server sends
 * beside its leaf counts for nothing: anybody can send a copy of a CA's certificate.
 */
export class ShownAuthority {
  readonly #leaves = new Map<string, Buffer>();

  /** @param authoritiesPem What the chains are checked against. */
  constructor(private readonly authoritiesPem: readonly string[]) {}

  /** @param leaf DER. */
  note(leaf: Buffer): void {
    if (this.#leaves.size < MAX_LEAVES) this.#leaves.set(leaf.toString("base64"), leaf);
  }

  /**
   * SHA-256 of the SubjectPublicKeyInfo of the one authority that signed them all; `null` when there was none, or another one
   * than the trusted ones is in between, or they were different ones: then nobody can say whom a message came from.
   */
  hash(): Buffer | null {
    const hashes = [...this.#leaves.values()].map((leaf) => this.#hashFor(new X509Certificate(leaf)));
    const [first] = hashes;
    return first != null && this.#leaves.size < MAX_LEAVES && hashes.every((hash) => hash?.equals(first)) ? first : null;
  }

  #hashFor(leaf: X509Certificate): Buffer | null {
    for (const pem of this.authoritiesPem) {
      const authority = new X509Certificate(pem);
      if (!leaf.checkIssued(authority) || !leaf.verify(authority.publicKey)) continue;
      return createHash("sha256")
        .update(authority.publicKey.export({ format: "der", type: "spki" }))
        .digest();
    }
    return null;
  }
}

// --- internal ---

/** More than a person's program meets; a daemon's connection, which nobody asks, does not fill the memory. */
const MAX_LEAVES = 64;
