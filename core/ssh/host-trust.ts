import { MezError } from "../errors/error.js";
import { CERTIFICATE_ALGORITHMS, SIGNATURE_ALGORITHMS } from "./algorithms.js";
import { parseCertificate } from "./certificate.js";
import { checkCertificate } from "./certificate-check.js";
import { fingerprintOf, parsePublicKey } from "./public-key.js";
import { signatureAlgorithmsOf } from "./signature.js";

/** How the host proves itself: by a certificate of one of our CAs for that name, or by a key that we know. */
export type HostTrust =
  | { readonly authorities: readonly Buffer[]; readonly name: string; readonly now: () => Date }
  | { readonly pinnedKeys: readonly Buffer[] };

/** @throws {MezError} `SSH_HOST_KEY_REFUSED` for another key, or what `checkCertificate` throws. */
export function checkHost(blob: Buffer, trust: HostTrust): void {
  if ("pinnedKeys" in trust) {
    if (!trust.pinnedKeys.some((pinned) => pinned.equals(blob)))
      throw new MezError(
        "SSH_HOST_KEY_REFUSED",
        `it shows the host key ${fingerprintOf(blob)} and ${trust.pinnedKeys.map(fingerprintOf).join(", ")} is known`,
      );
    return;
  }
  checkCertificate(parseCertificate(blob), {
    role: "host",
    authorities: trust.authorities,
    principal: trust.name,
    now: trust.now(),
  });
}

/** The signatures to ask a host for, those that it can be believed by first. */
export function hostAlgorithms(trust: HostTrust): readonly string[] {
  if (!("pinnedKeys" in trust)) return [...CERTIFICATE_ALGORITHMS.keys()];
  const known: readonly string[] = trust.pinnedKeys.flatMap((blob) => signatureAlgorithmsOf(parsePublicKey(blob).type));
  const isKnown = (algorithm: string) => known.includes(algorithm);
  // The others come last: a host without the known key shows another, which can then be named.
  return [...SIGNATURE_ALGORITHMS.filter(isKnown), ...SIGNATURE_ALGORITHMS.filter((algorithm) => !isKnown(algorithm))];
}
