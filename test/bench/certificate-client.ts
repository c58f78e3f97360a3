import { generateKeyPairSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { connectWith, type LoginSession } from "./login-session.js";

/** What the certificates row tells this process, as JSON in `CERTIFICATE_BENCH`. */
export interface CertificateOrder extends LoginSession {
  readonly inFlight: number;
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
    const keys = Array.from({ length: count }, () => publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob);
    const start = performance.now();
    await Promise.all(
      Array.from({ length: order.inFlight }, async () => {
        for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
          await client.issueUserCerts({ sshPublicKey: key, x509PublicKey: Buffer.alloc(0), ttlSeconds: 0, answers: [] });
        }
      }),
    );
    process.send?.((count * 1000) / (performance.now() - start));
  });
  process.on("disconnect", () => connection.close());
}
