import { timingSafeEqual } from "node:crypto";
import { MezError } from "../../../core/errors/error.js";
import type { JoinTokenServerKeys } from "../../../core/join/join-token-keys.js";
import {
  CLIENT_NONCE_BYTES,
  clientStatement,
  isSignedBy,
  NO_FINGERPRINT,
  serverProof,
  sha256,
  TOKEN_ID_BYTES,
} from "../../../core/join/join-transcript.js";
import type { Database, Transaction } from "../../../core/plugin/database.js";
import type { JoinGrant, JoinMethod } from "../../../core/ports/join-method.js";
import { TokenProof } from "../../../proto/gen/mezite/join/v1/join.js";
import type { Tokens } from "../../tokens/api.js";
import type { ServerNonces } from "./server-nonce.js";

export interface TokenJoinServerParts {
  readonly database: Database;
  readonly tokens: Tokens;
  readonly nonces: ServerNonces;
  /** The Host CA certificates, PEM, as they are sent. */
  readonly trustBundle: () => Buffer;
  /** Keys of no token: they answer for unknown and expired ones, so that these look and take as long as others. */
  readonly decoy: JoinTokenServerKeys;
  /** Whether clients may join without binding to the TLS certificate, because TLS ends at a load balancer. */
  readonly allowWithoutFingerprint: boolean;
}

export interface BeginJoin {
  readonly tokenId: Buffer;
  readonly clientNonce: Buffer;
  readonly withoutFingerprint: boolean;
}

export interface BegunJoin {
  readonly serverNonce: Buffer;
  readonly trustBundle: Buffer;
  readonly serverProof: Buffer;
}

/** The server's half of joining with a token. */
export class TokenJoinServer implements JoinMethod {
  constructor(private readonly parts: TokenJoinServerParts) {}

  /**
   * Step 2: proves to whoever knows the token that this server does.
   * @throws {MezError} `INVALID_ARGUMENT`; `JOIN_REFUSED` only for what has nothing to do with the token
   */
  async begin(request: BeginJoin, serverFingerprint: Buffer | null): Promise<BegunJoin> {
    const { tokenId, clientNonce } = request;
    if (tokenId.length !== TOKEN_ID_BYTES || clientNonce.length !== CLIENT_NONCE_BYTES) {
      throw new MezError(
        "INVALID_ARGUMENT",
        `a join begins with a token id of ${TOKEN_ID_BYTES} bytes and a nonce of ${CLIENT_NONCE_BYTES}`,
      );
    }
    const fingerprint = this.#fingerprint(request.withoutFingerprint, serverFingerprint);
    const { serverKey } = (await this.parts.database.read((em) => this.parts.tokens.serverKeys(em, tokenId))) ?? this.parts.decoy;
    const serverNonce = this.parts.nonces.issue(tokenId, clientNonce);
    const trustBundle = this.parts.trustBundle();
    const transcript = { tokenId, clientNonce, serverNonce, fingerprint, trustBundleHash: sha256(trustBundle) };
    return { serverNonce, trustBundle, serverProof: serverProof(serverKey, transcript) };
  }

  /** Step 5: checks the client's proof, then uses the token up. */
  async redeem(tx: Transaction, proof: Uint8Array, request: Uint8Array, serverFingerprint: Buffer | null): Promise<JoinGrant> {
    const { tokenId, clientNonce, serverNonce, trustBundleHash, withoutFingerprint, signature } = parseProof(proof);
    if (!this.parts.nonces.accepts(serverNonce, tokenId, clientNonce))
      throw refusal("the nonce is not ours or older than a minute");
    const fingerprint = this.#fingerprint(withoutFingerprint, serverFingerprint);
    const expected = sha256(this.parts.trustBundle());
    if (trustBundleHash.length !== expected.length || !timingSafeEqual(trustBundleHash, expected))
      throw refusal("the trust bundle is another");
    const known = await this.parts.tokens.serverKeys(tx.em, tokenId);
    const { clientPublicKey } = known ?? this.parts.decoy;
    const requestHash = sha256(request);
    const statement = clientStatement({ tokenId, clientNonce, serverNonce, fingerprint, trustBundleHash }, requestHash);
    const isSigned = isSignedBy(clientPublicKey, statement, signature);
    if (known === null) throw refusal("the token is unknown or has expired");
    if (!isSigned) throw refusal("the signature is wrong");
    const token = await this.parts.tokens.redeem(tx, tokenId, requestHash);
    return { roles: token.roles, subject: token.id };
  }

  #fingerprint(without: boolean, own: Buffer | null): Buffer {
    if (!without && own !== null) return own;
    if (!without)
      throw new MezError(
        "JOIN_REFUSED",
        "this server is behind a load balancer that ends TLS; set load_balancer_certificate of join.token on the agent",
      );
    if (this.parts.allowWithoutFingerprint) return NO_FINGERPRINT;
    throw new MezError(
      "JOIN_REFUSED",
      "this server wants its TLS certificate proven; remove load_balancer_certificate of join.token on the agent",
    );
  }
}

// --- internal ---

function parseProof(proof: Uint8Array): TokenProof {
  try {
    const message = TokenProof.decode(proof);
    if (message.tokenId.length === TOKEN_ID_BYTES && message.clientNonce.length === CLIENT_NONCE_BYTES) return message;
  } catch (cause) {
    throw refusal("the proof cannot be read", cause);
  }
  throw refusal("the proof has parts of a wrong length");
}

// Word for word what the token service says of an unknown, used or expired token.
function refusal(detail: string, cause?: unknown): MezError {
  return new MezError("JOIN_REFUSED", "the join was refused: the token is unknown, used or expired, or the proof is wrong", {
    detail,
    cause,
  });
}
