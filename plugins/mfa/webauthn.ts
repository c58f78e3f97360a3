import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from "@simplewebauthn/server";
import { MezError, messageOf } from "../../core/errors/error.js";
import type { WebAuthnFactor } from "./factor.js";

/** Where a browser says that it is, and the name that credentials are made for. */
export interface RelyingParty {
  /** e.g. `https://mezite.example.com:3080`. */
  readonly origin: string;
  /** The origin's host name, or a parent domain that several proxies share. */
  readonly rpId: string;
  readonly clusterName: string;
}

/** What a new credential brings. */
export type NewCredential = Pick<WebAuthnFactor, "kind" | "credentialId" | "publicKey" | "counter" | "transports" | "rpId">;

/** @param configuredRpId Empty for the origin's own name. @throws {MezError} `INVALID_ARGUMENT` */
export function relyingParty(origin: string, configuredRpId: string, clusterName: string): RelyingParty {
  const url = URL.canParse(origin) ? new URL(origin) : null;
  if (url === null || url.origin !== origin || url.protocol !== "https:")
    throw new MezError("INVALID_ARGUMENT", `"${origin.slice(0, 100)}" is no origin of a page`);
  const host = url.hostname;
  if (configuredRpId === "" || host === configuredRpId || host.endsWith(`.${configuredRpId}`))
    return { origin, rpId: configuredRpId === "" ? host : configuredRpId, clusterName };
  throw new MezError(
    "INVALID_ARGUMENT",
    `passkeys of this cluster belong to ${configuredRpId}; open the page under that name, not under ${host}`,
  );
}

/** Options for `navigator.credentials.create`. */
export async function creationOptions(
  { rpId, clusterName }: RelyingParty,
  userName: string,
  existing: readonly WebAuthnFactor[],
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const { generateRegistrationOptions } = await library();
  return generateRegistrationOptions({
    rpName: `Mezite ${clusterName}`,
    rpID: rpId,
    userName,
    userDisplayName: userName,
    attestationType: "none",
    excludeCredentials: existing.map(({ credentialId, transports }) => ({ id: credentialId, transports: [...transports] })),
    authenticatorSelection: { residentKey: "discouraged", userVerification: "preferred" },
    supportedAlgorithmIDs: ALGORITHMS,
  });
}

/** Options for `navigator.credentials.get`. */
export async function requestOptions(
  { rpId }: RelyingParty,
  credentials: readonly WebAuthnFactor[],
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  const { generateAuthenticationOptions } = await library();
  return generateAuthenticationOptions({
    rpID: rpId,
    allowCredentials: credentials.map(({ credentialId, transports }) => ({ id: credentialId, transports: [...transports] })),
    userVerification: "preferred",
  });
}

/** @throws {MezError} `MFA_REFUSED` saying what does not fit (WebAuthn level 3, 7.1) */
export async function verifyCreation(
  json: string,
  { origin, rpId }: RelyingParty,
  expectedChallenge: string,
): Promise<NewCredential> {
  const response = parse<RegistrationResponseJSON>(json);
  const { verifyRegistrationResponse } = await library();
  const { verified, registrationInfo: info } = await verifyRegistrationResponse({
    response,
    expectedChallenge,
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: false,
    supportedAlgorithmIDs: ALGORITHMS,
  }).catch(refused);
  if (!verified || info === undefined) throw new MezError("MFA_REFUSED", "the browser's answer does not verify");
  const transports = (info.credential.transports ?? []).filter((word) => /^[a-z-]{1,20}$/.test(word)).slice(0, 8);
  const isPlugged = response.authenticatorAttachment === "cross-platform" && !transports.some((word) => BUILT_IN.has(word));
  return {
    kind: isPlugged && info.credentialDeviceType === "singleDevice" ? "hardware_key" : "webauthn",
    credentialId: info.credential.id,
    publicKey: Buffer.from(info.credential.publicKey).toString("base64url"),
    counter: info.credential.counter,
    transports,
    rpId,
  };
}

/** The id that an answer names. @throws {MezError} `MFA_REFUSED` */
export function credentialIdOf(json: string): string {
  const { id } = parse<{ readonly id?: unknown }>(json);
  return typeof id === "string" ? id : "";
}

/**
 * Checks an assertion; the counter has to have moved on, if the authenticator has one (WebAuthn level 3, 6.1.1).
 * @returns The new counter.
 * @throws {MezError} `MFA_REFUSED`; with `fields.counter` when the counter went back, as a copied key's does
 */
export async function verifyRequest(
  json: string,
  { origin, rpId }: RelyingParty,
  expectedChallenge: string,
  factor: WebAuthnFactor,
): Promise<number> {
  const { verifyAuthenticationResponse } = await library();
  const { verified, authenticationInfo: info } = await verifyAuthenticationResponse({
    response: parse<AuthenticationResponseJSON>(json),
    expectedChallenge,
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: false,
    // The library would refuse a counter in its own words; zero makes it leave that to us.
    credential: { id: factor.credentialId, publicKey: Buffer.from(factor.publicKey, "base64url"), counter: 0 },
  }).catch(refused);
  if (!verified) throw new MezError("MFA_REFUSED", "the browser's answer does not verify");
  const { newCounter } = info;
  if (newCounter > factor.counter || (newCounter === 0 && factor.counter === 0)) return newCounter;
  throw new MezError("MFA_REFUSED", "the counter of this security key went back: it may have been copied; ask an administrator", {
    fields: { counter: newCounter },
  });
}

// --- internal ---

const ALGORITHMS = [-7, -8, -257]; // ES256, EdDSA, RS256 (RFC 9053; RFC 8812)
const BUILT_IN: ReadonlySet<string> = new Set(["internal", "hybrid"]);

/** Hundreds of modules, for the first passkey of a process: most servers start without one. */
function library(): Promise<typeof import("@simplewebauthn/server")> {
  return import("@simplewebauthn/server");
}

function parse<T>(json: string): T {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === "object" && value !== null) return value as T;
  } catch {
    // said below
  }
  throw new MezError("MFA_REFUSED", "the browser's answer is damaged");
}

function refused(cause: unknown): never {
  const detail = messageOf(cause).slice(0, 300);
  throw new MezError("MFA_REFUSED", "the browser's answer does not fit this page; reload it and try again", { cause, detail });
}
