import { generateSecret, generateURI, verifySync } from "otplib";
import { Secret } from "../../core/plugin/secret.js";

const STEP_SECONDS = 30; // RFC 6238, 5.2

/** 160 random bits in base32 (RFC 4226, 4, R6). */
export function generateTotpSecret(): Secret {
  return new Secret(generateSecret({ length: 20 }));
}

/** The `otpauth:` address that authenticator apps read from a QR code. */
export function totpUri(secret: Secret, clusterName: string, userName: string): string {
  return generateURI({ issuer: `Mezite ${clusterName}`, label: userName, secret: secret.expose() });
}

/**
 * Finds the time step that a code belongs to: the present one, the one before or the one after (RFC 6238, 5.2).
 * @param code Six digits.
 * @returns `null` for a wrong code. Whether the step was used before is for the caller to say.
 */
export function matchTotp(secret: Secret, code: string, now: Date): number | null {
  const epoch = Math.floor(now.getTime() / 1000);
  const result = verifySync({ secret: secret.expose(), token: code, epoch, epochTolerance: STEP_SECONDS });
  return result.valid && "timeStep" in result ? result.timeStep : null;
}
