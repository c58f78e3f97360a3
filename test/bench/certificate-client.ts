import { generateKeyPairSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { connectWith, type LoginSession } from "./login-session.js";

/** What the certificates row tells this process, as JSON in `CERTIFICATE_BENCH`. */
export interface CertificateOrder extends LoginSession {
  readonly inFlight: number;
  readonly kind: "ssh" | "x509";
}

/*
 * A client in a process of its own, so that its work is not the server's: for each message with a number it has that
 * many fresh keys signed and answers with the rate per second.
 */
if (process.send !== undefined) {
  const order = JSON.parse(process.env["CERTIFICATE_BENCH"] ?? "{}") as CertificateOrder;
  const connection = connectWith(order);
  const client = connection.client(AuthenticationServiceService);
  process.on("message", async (count: number) => {
    const keys = Array.from({ length: count }, () => (order.kind === "ssh" ? sshKey() : x509Key()));
    const start = performance.now();
    await Promise.all(
      Array.from({ length: order.inFlight }, async () => {
        for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
          await client.issueUserCerts({ ...key, ttlSeconds: 0, answers: [] });
        }
      }),
    );
    process.send?.((count * 1000) / (performance.now() - start));
  });
  process.on("disconnect", () => connection.close());
}

// --- internal ---

const NONE = Buffer.alloc(0);

function sshKey() {
  return { sshPublicKey: publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob, x509PublicKey: NONE };
}

function x509Key() {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { sshPublicKey: NONE, x509PublicKey: publicKey.export({ format: "der", type: "spki" }) };
}
