import { MezError } from "../../core/errors/error.js";

/**
 * Checks that the configuration names the trust domain that the SPIFFE CA was made for.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function requireTrustDomain(made: string, configured: string): void {
  if (made === configured) return;
  throw new MezError(
    "CONFIG_INVALID",
    `the SPIFFE CA of this cluster was made for the trust domain ${made}, and the configuration says ${configured}; a trust domain cannot be changed, so write trust_domain: ${made} into the section of plugin ca`,
  );
}
