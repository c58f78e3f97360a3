import { randomBytes, timingSafeEqual } from "node:crypto";
import { JoinKind, JoinServiceService, TokenProof } from "../../proto/gen/mezite/join/v1/join.js";
import { MezError } from "../errors/error.js";
import type { RpcDialer } from "../plugin/dialer.js";
import type { RpcConnection } from "../plugin/rpc.js";
import type { JoinAttempt, JoinClient, JoinOptions } from "./join-client.js";
import type { JoinTokenDerivation, JoinTokenKeys } from "./join-token-keys.js";
import {
  CLIENT_NONCE_BYTES,
  clientStatement,
  type JoinTranscript,
  NO_FINGERPRINT,
  SERVER_NONCE_BYTES,
  serverProof,
  sha256,
} from "./join-transcript.js";

/** How the server's TLS certificate is bound to the join. */
export type CertificateBinding =
  | { readonly kind: "fingerprint" }
  /** TLS ends at a load balancer, whose certificate the system trusts. */
  | { readonly kind: "system" }
  /** The same, with the SHA-256 of the load balancer's certificate. */
  | { readonly kind: "pin"; readonly sha256: Buffer };

/** The client's half of joining with a token. */
export class TokenJoinClient implements JoinClient {
  constructor(
    private readonly dialer: RpcDialer,
    private readonly derivation: JoinTokenDerivation,
    private readonly binding: CertificateBinding,
    private readonly random: (bytes: number) => Buffer = randomBytes,
  ) {}

  async begin(options: JoinOptions): Promise<JoinAttempt> {
    const keys = this.derivation.derive(options.token);
    const connection = this.dialer.dial({
      addresses: options.addresses,
      trust: { kind: this.binding.kind === "system" ? "system" : "none" },
    });
    try {
      return await this.#prove(keys, connection, options);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async #prove(keys: JoinTokenKeys, connection: RpcConnection, options: JoinOptions): Promise<JoinAttempt> {
    const fingerprint = await this.#fingerprint(connection);
    const clientNonce = this.random(CLIENT_NONCE_BYTES);
    const withoutFingerprint = this.binding.kind !== "fingerprint";
    const answer = await connection
      .client(JoinServiceService)
      .beginJoin({ tokenId: keys.id, clientNonce, kind: KINDS[options.kind], withoutFingerprint }, { signal: options.signal });
    const transcript: JoinTranscript = {
      tokenId: keys.id,
      clientNonce,
      serverNonce: answer.serverNonce,
      fingerprint,
      trustBundleHash: sha256(answer.trustBundle),
    };
    const isLongEnough = answer.serverNonce.length === SERVER_NONCE_BYTES && answer.serverProof.length === 32;
    if (!isLongEnough || !timingSafeEqual(answer.serverProof, serverProof(keys.serverKey, transcript))) throw unproven();
    return {
      method: "token",
      trustPem: certificatesOf(answer.trustBundle),
      connection,
      prove: async (request) => {
        if (!(await this.#fingerprint(connection)).equals(fingerprint)) throw unproven();
        const signature = keys.sign(clientStatement(transcript, sha256(request)));
        const { tokenId, serverNonce, trustBundleHash } = transcript;
        return TokenProof.encode({ tokenId, clientNonce, serverNonce, trustBundleHash, withoutFingerprint, signature }).finish();
      },
      close: () => connection.close(),
    };
  }

  async #fingerprint(connection: RpcConnection): Promise<Buffer> {
    if (this.binding.kind === "system") return NO_FINGERPRINT;
    const seen = await connection.serverFingerprint();
    if (this.binding.kind === "fingerprint") return seen;
    if (seen.length === this.binding.sha256.length && timingSafeEqual(seen, this.binding.sha256)) return NO_FINGERPRINT;
    throw new MezError(
      "JOIN_SERVER_UNPROVEN",
      `the load balancer shows the certificate sha256:${seen.toString("hex")}, not the one in load_balancer_certificate; nothing was sent`,
    );
  }
}

// --- internal ---

const KINDS = { agent: JoinKind.JOIN_KIND_AGENT, identity: JoinKind.JOIN_KIND_IDENTITY } as const;

function unproven(): MezError {
  return new MezError(
    "JOIN_SERVER_UNPROVEN",
    "the server does not know this token (it may have expired), or someone stands between you and it; nothing was sent that could be reused",
  );
}

function certificatesOf(trustBundle: Buffer): readonly string[] {
  return trustBundle.toString("utf8").match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n?/g) ?? [];
}
