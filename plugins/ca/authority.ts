import { createPublicKey, X509Certificate as ParsedCertificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { KeyBackend } from "../../core/ports/key-backend.js";
import type { SshSigner } from "../../core/ssh/certificate-issue.js";
import { parsePublicKey, publicKeyOf } from "../../core/ssh/public-key.js";
import { encodeSignature, signatureAlgorithmsOf } from "../../core/ssh/signature.js";
import type { AuthorityType, JwtAuthority, TrustBundle } from "./api.js";
import type { AuthorityKeyRow, AuthorityRow, KeyUsage } from "./authority-repository.js";
import { AUTHORITIES, authorityName } from "./authority-type.js";
import { jwkThumbprint, spiffeBundleOf } from "./spiffe-bundle.js";
import { distinguishedName, keyIdentifier, type X509Signer } from "./x509-certificate.js";

/** An authority ready to sign. */
export interface Authority {
  readonly type: AuthorityType;
  /** Of the keys that sign. */
  readonly generation: number;
  readonly bundle: TrustBundle;
  readonly x509: X509Issuer;
  /** `null` for an authority that signs no SSH certificates. */
  readonly ssh: SshSigner | null;
  /** `null` for an authority that signs no tokens. */
  readonly jwt: JwtSigner | null;
}

export interface X509Issuer {
  readonly signer: X509Signer;
  /** Name of the issuer, DER. */
  readonly name: Buffer;
  readonly keyId: Buffer;
  readonly expiresAt: Date;
}

/** A key that signs with ES256. */
export interface JwtSigner extends X509Signer {
  readonly keyId: string;
}

/**
 * Makes an authority of its rows.
 * @param backendOf Finds a key backend by name.
 * @throws {MezError} `KEY_CORRUPT` when no key is active; what `backendOf` throws
 */
export function assembleAuthority(
  { type, phaseSince }: Pick<AuthorityRow, "type" | "phaseSince">,
  clusterName: string,
  keys: readonly AuthorityKeyRow[],
  backendOf: (name: string) => KeyBackend,
): Authority {
  const active = (usage: KeyUsage): AuthorityKeyRow => {
    const key = keys.find((each) => each.authority === type && each.usage === usage && each.state === "active");
    if (key === undefined)
      throw new MezError("KEY_CORRUPT", `the ${type} CA has no active ${usage} key; restore the database from a backup`);
    return key;
  };
  const has = (usage: KeyUsage): boolean => AUTHORITIES[type].keys.includes(usage);
  const x509Key = active("x509");
  const publicKeyDer = Buffer.from(x509Key.publicKey, "base64");
  return {
    type,
    generation: x509Key.generation,
    bundle: bundleOf(type, keys, phaseSince),
    x509: {
      signer: signerOf(x509Key, backendOf),
      name: distinguishedName(authorityName(clusterName, type)),
      keyId: keyIdentifier(publicKeyDer),
      expiresAt: new ParsedCertificate(x509Key.certificate ?? "").validToDate,
    },
    ssh: has("ssh") ? sshSignerOf(active("ssh"), backendOf) : null,
    jwt: has("jwt") ? { ...signerOf(active("jwt"), backendOf), keyId: jwtAuthorityOf(active("jwt")).keyId } : null,
  };
}

/**
 * The public half of an authority.
 * @param keys In the order of `findAuthorityKeys`.
 * @param since When they came to be so; numbers the bundle of a SPIFFE CA.
 */
export function bundleOf(type: AuthorityType, keys: readonly AuthorityKeyRow[], since: Date): TrustBundle {
  const ours = keys.filter((key) => key.authority === type);
  const certificatesPem = certificatesOf(type, keys);
  const bundle = {
    sshPublicKeys: ours.filter((key) => key.usage === "ssh").map((key) => sshBlob(key).toString("base64")),
    certificatesPem,
  };
  if (type !== "spiffe") return bundle;
  const jwtAuthorities = ours.filter((key) => key.usage === "jwt").map(jwtAuthorityOf);
  return { ...bundle, spiffe: spiffeBundleOf(certificatesPem, jwtAuthorities, since.getTime()) };
}

/** The self-signed certificates of an authority, in the order of `keys`. */
export function certificatesOf(type: AuthorityType, keys: readonly AuthorityKeyRow[]): readonly string[] {
  return keys.filter((key) => key.authority === type).flatMap((key) => key.certificate ?? []);
}

/** SSH wire form of a key's public half. */
export function sshBlob(key: AuthorityKeyRow): Buffer {
  return publicKeyOf(createPublicKey({ key: Buffer.from(key.publicKey, "base64"), format: "der", type: "spki" })).blob;
}

/** The public half of a key that signs tokens. */
export function jwtAuthorityOf({ publicKey }: AuthorityKeyRow): JwtAuthority {
  return { keyId: jwkThumbprint(publicKey), publicKey };
}

/** Signs with an SSH key of an authority. */
export function sshSignerOf(key: AuthorityKeyRow, backendOf: (name: string) => KeyBackend): SshSigner {
  const { sign, signsInProcess } = signerOf(key, backendOf);
  const publicKeyBlob = sshBlob(key);
  const [algorithm] = signatureAlgorithmsOf(parsePublicKey(publicKeyBlob).type);
  return { publicKeyBlob, signsInProcess, sign: async (data) => encodeSignature(algorithm, await sign(data)) };
}

// --- internal ---

function signerOf({ publicKey, backend, handle }: AuthorityKeyRow, backendOf: (name: string) => KeyBackend): X509Signer {
  const holder = backendOf(backend);
  return {
    publicKeyDer: Buffer.from(publicKey, "base64"),
    signsInProcess: holder.signsInProcess === true,
    sign: (data) => holder.sign(handle, data),
  };
}
