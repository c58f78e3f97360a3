import { createPublicKey, X509Certificate as ParsedCertificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { KeyBackend } from "../../core/ports/key-backend.js";
import type { SshSigner } from "../../core/ssh/certificate-issue.js";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { encodeSignature } from "../../core/ssh/signature.js";
import type { AuthorityType, TrustBundle } from "./api.js";
import type { AuthorityKeyRow, KeyUsage } from "./authority-repository.js";
import { authorityName } from "./authority-type.js";
import { distinguishedName, keyIdentifier, type X509Signer } from "./x509-certificate.js";

/** An authority ready to sign. */
export interface Authority {
  readonly type: AuthorityType;
  /** Of the keys that sign. */
  readonly generation: number;
  readonly bundle: TrustBundle;
  readonly ssh: SshSigner;
  readonly x509: X509Issuer;
}

export interface X509Issuer {
  readonly signer: X509Signer;
  /** Name of the issuer, DER. */
  readonly name: Buffer;
  readonly keyId: Buffer;
  readonly expiresAt: Date;
}

/**
 * Makes an authority of its rows.
 * @param backendOf Finds a key backend by name.
 * @throws {MezError} `KEY_CORRUPT` when no key is active; what `backendOf` throws
 */
export function assembleAuthority(
  type: AuthorityType,
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
  const sshKey = active("ssh");
  const x509Key = active("x509");
  const sign = ({ backend, handle }: AuthorityKeyRow) => {
    const holder = backendOf(backend);
    return (data: Buffer) => holder.sign(handle, data);
  };
  const signSsh = sign(sshKey);
  return {
    type,
    generation: x509Key.generation,
    bundle: bundleOf(type, keys),
    ssh: {
      publicKeyBlob: sshBlob(sshKey),
      signsInProcess: backendOf(sshKey.backend).signsInProcess === true,
      sign: async (data) => encodeSignature("ssh-ed25519", await signSsh(data)),
    },
    x509: {
      signer: { publicKeyDer: Buffer.from(x509Key.publicKey, "base64"), sign: sign(x509Key) },
      name: distinguishedName(authorityName(clusterName, type)),
      keyId: keyIdentifier(Buffer.from(x509Key.publicKey, "base64")),
      expiresAt: new ParsedCertificate(x509Key.certificate ?? "").validToDate,
    },
  };
}

/** The public half of an authority; `keys` in the order of `findAuthorityKeys`. */
export function bundleOf(type: AuthorityType, keys: readonly AuthorityKeyRow[]): TrustBundle {
  const ours = keys.filter((key) => key.authority === type);
  return {
    sshPublicKeys: ours.filter((key) => key.usage === "ssh").map((key) => sshBlob(key).toString("base64")),
    certificatesPem: ours.flatMap((key) => key.certificate ?? []),
  };
}

/** SSH wire form of a key's public half. */
export function sshBlob(key: AuthorityKeyRow): Buffer {
  return publicKeyOf(createPublicKey({ key: Buffer.from(key.publicKey, "base64"), format: "der", type: "spki" })).blob;
}
