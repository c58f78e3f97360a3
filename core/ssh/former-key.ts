import { isMezError } from "../errors/error.js";
import type { SshSigner } from "./certificate-issue.js";
import { signFile, verifyFileSignature } from "./file-signature.js";

/** A key that is used no more, and the signature of one that came after or before it, which says so. JSON. */
export interface FormerKey {
  /** Wire form in base64. */
  readonly publicKey: string;
  /** Made by `vouchFor`. */
  readonly signature: string;
}

/**
 * Lets a key say of another that it belonged to the same authority, so that what that one signed can be verified when its
 * private half is long destroyed.
 * @throws {MezError} as `signFile`
 */
export async function vouchFor(publicKey: string, signer: SshSigner): Promise<FormerKey> {
  return { publicKey, signature: await signFile(signer, NAMESPACE, messageOf(publicKey)) };
}

/**
 * The keys to believe: those that are trusted now, and those that one of them vouches for, over any number of steps.
 * What nobody vouches for is left out.
 * @param trusted Wire form in base64.
 */
export function believedKeys(trusted: readonly string[], former: readonly FormerKey[]): ReadonlySet<string> {
  const believed = new Set(trusted);
  let waiting = former.map(({ publicKey, signature }) => ({ publicKey, voucher: voucherOf(publicKey, signature) }));
  for (let before = -1; before !== believed.size; ) {
    before = believed.size;
    for (const { publicKey, voucher } of waiting) if (voucher !== null && believed.has(voucher)) believed.add(publicKey);
    waiting = waiting.filter(({ publicKey }) => !believed.has(publicKey));
  }
  return believed;
}

// --- internal ---

const NAMESPACE = "former-key@mezite";

function messageOf(publicKey: string): Buffer {
  return Buffer.from(`${publicKey}\n`);
}

/** Who signed; `null` for a signature that is wrong. */
function voucherOf(publicKey: string, signature: string): string | null {
  try {
    return verifyFileSignature(signature, NAMESPACE, messageOf(publicKey)).toString("base64");
  } catch (error) {
    if (isMezError(error)) return null;
    throw error;
  }
}
