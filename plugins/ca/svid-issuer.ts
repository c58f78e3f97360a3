import { MezError } from "../../core/errors/error.js";
import type { Clock } from "../../core/time/clock.js";
import type { JwtSvid, JwtSvidRequest, SpiffeAuthority, SpiffeBundle, TrustBundle, X509Svid, X509SvidRequest } from "./api.js";
import type { KeyBackedAuthorities } from "./certificate-authorities.js";
import { signedToken } from "./json-web-signature.js";
import { acceptedPublicKey } from "./subject-key.js";
import { randomX509Serial, validityOf } from "./validity.js";
import { keyIdentifier, organizationName, signX509 } from "./x509-certificate.js";
import { leafExtensions } from "./x509-extensions.js";

export interface SvidIssuerParts {
  readonly authorities: Pick<KeyBackedAuthorities, "signing" | "trustBundle" | "noteIssued">;
  readonly clock: Clock;
  readonly clusterName: string;
}

/** Signs SVIDs with the keys of the SPIFFE CA that sign now. */
export class SvidIssuer implements SpiffeAuthority {
  readonly #subject: Buffer;

  constructor(private readonly parts: SvidIssuerParts) {
    this.#subject = organizationName(parts.clusterName);
  }

  trustDomain(): string {
    return this.bundle().spiffe.trustDomain;
  }

  bundle(): TrustBundle & { readonly spiffe: SpiffeBundle } {
    const { spiffe, ...bundle } = this.parts.authorities.trustBundle("spiffe");
    if (spiffe === undefined) throw new MezError("UNAVAILABLE", "the spiffe CA is not ready yet");
    return { ...bundle, spiffe };
  }

  async issueX509Svid({ publicKeyDer, spiffeId, dnsNames, ttlSeconds }: X509SvidRequest): Promise<X509Svid> {
    const { generation, x509 } = await this.parts.authorities.signing("spiffe");
    const validity = validityOf("spiffe", ttlSeconds, this.parts.clock.now());
    const expiresAt = new Date(Math.min(validity.expiresAt.getTime(), x509.expiresAt.getTime()));
    const subjectPublicKeyDer = acceptedPublicKey(publicKeyDer);
    const serial = randomX509Serial();
    const names = { dnsNames, uris: [spiffeId] };
    const der = await signX509(
      {
        ...{ serial, issuer: x509.name, subject: this.#subject, subjectPublicKeyDer },
        ...{ notBefore: validity.validFrom, notAfter: expiresAt },
        extensions: leafExtensions(names, "client-and-server", keyIdentifier(subjectPublicKeyDer), x509.keyId),
      },
      x509.signer,
    );
    this.parts.authorities.noteIssued("spiffe", generation, expiresAt);
    return { der, serial: serial.toString("hex"), expiresAt };
  }

  async issueJwtSvid({ spiffeId, audiences, issuer, ttlSeconds }: JwtSvidRequest): Promise<JwtSvid> {
    const { generation, jwt } = await this.parts.authorities.signing("spiffe");
    if (jwt === null) throw new MezError("UNAVAILABLE", "the spiffe CA is not ready yet");
    const now = this.parts.clock.now();
    const { expiresAt } = validityOf("spiffe", ttlSeconds, now);
    const [aud, iat, exp] = [[...audiences], Math.floor(now.getTime() / 1000), expiresAt.getTime() / 1000];
    const token = await signedToken({ ...(issuer === null ? {} : { iss: issuer }), sub: spiffeId, aud, iat, exp }, jwt);
    this.parts.authorities.noteIssued("spiffe", generation, expiresAt);
    return { token, expiresAt };
  }
}
