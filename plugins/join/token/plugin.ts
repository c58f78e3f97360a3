import { randomBytes } from "node:crypto";
import { type CertificateBinding, TokenJoinClient } from "../../../core/join/token-join-client.js";
import { definePlugin, type Resolve } from "../../../core/plugin/contract.js";
import { DATABASE } from "../../../core/plugin/database.js";
import { RPC_DIALER } from "../../../core/plugin/dialer.js";
import { CLOCK } from "../../../core/plugin/process.js";
import { Secret } from "../../../core/plugin/secret.js";
import { JOIN_METHOD } from "../../../core/ports/join-method.js";
import { CERTIFICATE_AUTHORITIES } from "../../ca/api.js";
import { JOIN_TOKEN_DERIVATION, TOKENS } from "../../tokens/api.js";
import { JOIN_CLIENT } from "./api.js";
import { JOIN_RPC, joinHandlers } from "./join-rpc.js";
import { ServerNonces } from "./server-nonce.js";
import { TokenJoinServer } from "./token-join-server.js";

interface JoinTokenConfig {
  readonly behind_load_balancer: boolean;
  /** "", "system" or "sha256:<hex>". */
  readonly load_balancer_certificate: string;
}

export default definePlugin<JoinTokenConfig>({
  register(host, config) {
    if (host.roles.has("proxy") || host.roles.has("node")) {
      const binding = bindingOf(config.load_balancer_certificate);
      host.provide(JOIN_CLIENT, (resolve) => new TokenJoinClient(resolve(RPC_DIALER), resolve(JOIN_TOKEN_DERIVATION), binding));
    }
    if (!host.roles.has("auth")) return;

    // One instance: the RPC issues the nonces that the port's implementation accepts.
    let server: TokenJoinServer | null = null;
    const one = (resolve: Resolve): TokenJoinServer => {
      server ??= serverOf(resolve, config.behind_load_balancer);
      return server;
    };
    host.implement(JOIN_METHOD, "token", one);
    host.rpc(JOIN_RPC, (resolve) => joinHandlers(one(resolve)));
  },
});

// --- internal ---

function serverOf(resolve: Resolve, allowWithoutFingerprint: boolean): TokenJoinServer {
  const authorities = resolve(CERTIFICATE_AUTHORITIES);
  return new TokenJoinServer({
    database: resolve(DATABASE),
    tokens: resolve(TOKENS),
    nonces: new ServerNonces(resolve(CLOCK)),
    trustBundle: () => Buffer.from(authorities.trustBundle("host").certificatesPem.join("")),
    decoy: resolve(JOIN_TOKEN_DERIVATION).derive(new Secret(randomBytes(32).toString("hex"))),
    allowWithoutFingerprint,
  });
}

function bindingOf(certificate: string): CertificateBinding {
  if (certificate === "") return { kind: "fingerprint" };
  if (certificate === "system") return { kind: "system" };
  return { kind: "pin", sha256: Buffer.from(certificate.slice("sha256:".length), "hex") };
}
