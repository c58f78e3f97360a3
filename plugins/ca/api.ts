import type { CollectionKind } from "../../core/plugin/collection.js";
import type { ServiceToken } from "../../core/plugin/contract.js";
import type { FormerKey } from "../../core/ssh/former-key.js";

/** `user` certifies people, `host` nodes, proxies and auth servers, `spiffe` the programs that run on machines. */
export type AuthorityType = "user" | "host" | "spiffe";

/** Where an authority stands in the replacement of its keys. `none` outside of a rotation. */
export type RotationPhase = "none" | "init" | "update-clients" | "update-servers" | "standby" | "complete";

/** What an SSH certificate is to say. */
export interface SshCertificateRequest {
  /** The subject's public key in SSH wire form (`string type || …`): Ed25519, ECDSA on a NIST curve, or RSA of 2048 bits or more. */
  readonly publicKeyBlob: Buffer;
  /** Printed by `sshd` in its log: the user or the node. Not empty. */
  readonly keyId: string;
  /** Logins or host names, 1 to 256, none empty; OpenSSH reads an empty list as "any", so it is refused. */
  readonly principals: readonly string[];
  /** From now; 1 to 86,400 for users, 1 to 604,800 for hosts. The start is put back a minute for clocks that differ. */
  readonly ttlSeconds: number;
}

/** What a user's certificate is to say besides. Options are sorted when they are written. */
export interface SshUserCertificateRequest extends SshCertificateRequest {
  /** `force-command` and `source-address`, e.g. `{ "source-address": "192.0.2.0/24" }`. */
  readonly criticalOptions?: Readonly<Record<string, string>>;
  /** e.g. `{ "permit-pty": "" }` */
  readonly extensions?: Readonly<Record<string, string>>;
}

export interface SshCertificate {
  /** Wire form: what stands in base64 in a `-cert.pub` file. */
  readonly blob: Buffer;
  /** Random, 63 bits, decimal. */
  readonly serial: string;
  readonly validFrom: Date;
  readonly expiresAt: Date;
}

/** What an X.509 leaf certificate is to say. */
export interface X509CertificateRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyDer: Buffer;
  /** 1 to 64 characters. */
  readonly commonName: string;
  /** e.g. `mezite:role:node`. */
  readonly organization?: string;
  readonly dnsNames?: readonly string[];
  /** IPv4 or IPv6 in text form. */
  readonly ipAddresses?: readonly string[];
  /** e.g. `mezite://prod/agent/0d8c…`. */
  readonly uris?: readonly string[];
  /** From now; 1 to 86,400 for users, 1 to 604,800 for hosts. The start is put back a minute for clocks that differ. */
  readonly ttlSeconds: number;
}

export interface X509Certificate {
  readonly pem: string;
  /** Random, 128 bits, lower-case hex, always 32 digits. */
  readonly serial: string;
  readonly validFrom: Date;
  readonly expiresAt: Date;
}

/** The public half of an authority. The key that signs now comes first; during a rotation others are trusted beside it. */
export interface TrustBundle {
  /** SSH wire form in base64, as in an `authorized_keys` line. Empty for `spiffe`. */
  readonly sshPublicKeys: readonly string[];
  /** Self-signed certificates. */
  readonly certificatesPem: readonly string[];
  /** Of `spiffe` alone. */
  readonly spiffe?: SpiffeBundle;
}

/** What verifies SVIDs, in the forms in which others ask for it. JSON. */
export interface SpiffeBundle {
  /** Without `spiffe://`. */
  readonly trustDomain: string;
  /** Rises with every change. */
  readonly sequence: number;
  /** How often others should look for changes. */
  readonly refreshHintSeconds: number;
  readonly jwtAuthorities: readonly JwtAuthority[];
  /**
   * The whole bundle as a JWK Set, as a bundle endpoint serves it.
   * @see SPIFFE Trust Domain and Bundle, 4
   */
  readonly bundleJson: string;
  /** The keys of JWT-SVIDs alone, as a plain JWK Set (RFC 7517): for a Workload API, and for the `jwks_uri` of OpenID Connect. */
  readonly jwksJson: string;
}

/** A key that signs JWT-SVIDs with ES256. */
export interface JwtAuthority {
  /** Thumbprint of the key. @see RFC 7638 */
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly publicKey: string;
}

/** Signs certificates with the cluster's authorities. On the auth service only. */
export interface CertificateAuthorities {
  /**
   * Signs an OpenSSH user certificate with the User CA.
   * @throws {MezError} `INVALID_ARGUMENT`; `SSH_KEY_UNSUPPORTED` or `SSH_MALFORMED` for the public key;
   * `KEY_BACKEND_UNAVAILABLE`, safe to retry; `UNAVAILABLE` before the plugin has started.
   * @see OpenSSH PROTOCOL.certkeys
   */
  issueUserCertificate(request: SshUserCertificateRequest): Promise<SshCertificate>;
  /** The same for hosts, with the Host CA; OpenSSH knows no options for hosts. */
  issueHostCertificate(request: SshCertificateRequest): Promise<SshCertificate>;
  /**
   * Signs a TLS client certificate with the User CA (EKU clientAuth).
   * @throws {MezError} `INVALID_ARGUMENT`, also for the public key; `KEY_BACKEND_UNAVAILABLE`, `UNAVAILABLE`
   * @see RFC 5280
   */
  issueUserX509(request: X509CertificateRequest): Promise<X509Certificate>;
  /** Signs a TLS certificate for both directions with the Host CA (EKU serverAuth and clientAuth). */
  issueHostX509(request: X509CertificateRequest): Promise<X509Certificate>;
  /** What others have to trust now. Waits for nothing. @throws {MezError} `UNAVAILABLE` before the plugin has started. */
  trustBundle(type: AuthorityType): TrustBundle;
}

/** Provided on the auth service. */
export const CERTIFICATE_AUTHORITIES: ServiceToken<CertificateAuthorities> = { id: "ca", version: 1 };

/** What an X.509-SVID is to say. */
export interface X509SvidRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyDer: Buffer;
  /** Within the trust domain, checked by the caller. */
  readonly spiffeId: string;
  readonly dnsNames: readonly string[];
  /** From now; 1 to 86,400. */
  readonly ttlSeconds: number;
}

export interface X509Svid {
  /** The leaf, DER. The CA signs it directly. */
  readonly der: Buffer;
  /** Random, 128 bits, lower-case hex. */
  readonly serial: string;
  readonly expiresAt: Date;
}

/** What a JWT-SVID is to say. */
export interface JwtSvidRequest {
  readonly spiffeId: string;
  /** One or more. */
  readonly audiences: readonly string[];
  /** URL of the OpenID Connect provider that publishes the keys, see `JWT_ISSUER` of the plugin spiffe-bundle; `null` for none. */
  readonly issuer: string | null;
  /** From now; 1 to 86,400. */
  readonly ttlSeconds: number;
}

export interface JwtSvid {
  /** Compact form. */
  readonly token: string;
  readonly expiresAt: Date;
}

/** Signs SVIDs with the SPIFFE CA. On the auth service only. */
export interface SpiffeAuthority {
  /** Without `spiffe://`. Never changes. @throws {MezError} `UNAVAILABLE` before the plugin has started. */
  trustDomain(): string;
  /** What others have to trust now. @throws {MezError} `UNAVAILABLE` before the plugin has started. */
  bundle(): TrustBundle & { readonly spiffe: SpiffeBundle };
  /**
   * @throws {MezError} `INVALID_ARGUMENT`, also for the public key; `KEY_BACKEND_UNAVAILABLE`, `UNAVAILABLE`
   * @see SPIFFE X509-SVID, 4
   */
  issueX509Svid(request: X509SvidRequest): Promise<X509Svid>;
  /**
   * @throws {MezError} as `issueX509Svid`
   * @see SPIFFE JWT-SVID, 2 and 3
   */
  issueJwtSvid(request: JwtSvidRequest): Promise<JwtSvid>;
}

/** Provided on the auth service. */
export const SPIFFE_AUTHORITY: ServiceToken<SpiffeAuthority> = { id: "spiffe-authority", version: 1 };

/** The SSH keys of the Host CA, for whoever verifies a seal: `believedKeys` of `core/ssh` makes one set of them. */
export interface SealKeys {
  /** Wire form in base64; the key that signs now comes first. */
  readonly trusted: readonly string[];
  /** Those that rotations took out of use, each vouched for by one that signed then. */
  readonly former: readonly FormerKey[];
}

/** Seals statements of the auth service with the SSH key of the Host CA. On the auth service only. */
export interface HostSeals {
  /**
   * @param namespace What the seal is for, e.g. `recording@mezite`; one for something else does not verify.
   * @returns An armored SSH signature, as `ssh-keygen -Y sign` makes them.
   * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`, safe to retry; `UNAVAILABLE` before the plugin has started
   * @see OpenSSH PROTOCOL.sshsig
   */
  seal(namespace: string, statement: Buffer): Promise<string>;
  /** Every key that may have sealed something, also before rotations. */
  keys(): Promise<SealKeys>;
}

/** Provided on the auth service. */
export const HOST_SEALS: ServiceToken<HostSeals> = { id: "host-seals", version: 1 };

/** What a process of the cluster said of itself. Keys are named by `X509Certificate.fingerprint256` of their CA certificate. */
export interface TrustReport {
  /** By authority type, what it checks certificates against. */
  readonly trusted: Readonly<Record<string, readonly string[]>>;
  /** The Host CA that signed the certificate it shows; empty when it does not know. */
  readonly certificateAuthority: string;
}

/** Somebody who has to follow when an authority rotates. */
export interface TrustFollower {
  /** e.g. `node` or `proxy`. */
  readonly kind: string;
  readonly name: string;
  /** The authorities that it has to do with; absent for one that checks certificates of all. */
  readonly follows?: readonly AuthorityType[];
  /** `null` when it has said nothing since the auth service started. */
  readonly report: TrustReport | null;
  /** For one that is given the CA by people and says nothing itself: what is known of it. */
  readonly byHand?: {
    /** The CA certificate beside the key under which a login last succeeded there; `null` before the first. */
    readonly worksUnder: string | null;
  };
}

/** Takes on whoever knows followers, so that a rotation can wait for them. */
export interface TrustFollowers {
  /** @param source Asked whenever somebody wants to know. Returns the way to take it off again. */
  add(source: () => readonly TrustFollower[]): () => void;
}

/** Provided on the auth service. */
export const TRUST_FOLLOWERS: ServiceToken<TrustFollowers> = { id: "trust-followers", version: 1 };

/**
 * The trust bundles by authority type, for whoever checks certificates. Public material: visible to every caller. What a
 * proxy publishes for SPIFFE is `collections.of(CA_KEYS).get("spiffe")?.spiffe`; it follows rotations by itself.
 */
export const CA_KEYS: CollectionKind<TrustBundle> = { name: "ca-keys", version: 1, visibleTo: () => true };
