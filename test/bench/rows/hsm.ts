import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { Secret } from "../../../core/plugin/secret.js";
import { Pkcs11KeyBackend } from "../../../plugins/keys/pkcs11/pkcs11-key-backend.js";
import { SessionPool } from "../../../plugins/keys/pkcs11/session-pool.js";
import { Cluster } from "../../fixtures/cluster.js";
import { silentLogger } from "../../fixtures/silent-logger.js";
import { makeSlowToken } from "../../peers/slow-token.js";
import { makeSoftHsm } from "../../peers/softhsm.js";
import type { CertificateOrder } from "../certificate-client.js";
import { absolute, type Row } from "../figure.js";
import { loginSessionOf } from "../login-session.js";
import { median } from "../statistics.js";

const AT_ONCE = 200;
const SESSIONS = 8;
const SIGNATURE_MS = 50;
const PIN = "bench-4711";

/** CA keys in SoftHSM behind a module whose signatures take 50 ms. */
export const hsm: Row = {
  name: "hsm",
  summary: `${AT_ONCE} certificates at once from a token that takes ${SIGNATURE_MS} ms, with ${SESSIONS} sessions`,
  async measure(_bed, { rounds }) {
    const tokens = makeSoftHsm({ ca: PIN, bench: PIN });
    try {
      const { module } = makeSlowToken(tokens, SIGNATURE_MS);
      const token = { module, sessions: SESSIONS };
      const config = { ...token, token: "ca", pin: PIN };
      const plugins = { ca: { config: { key_backend: "pkcs11" } }, "keys.pkcs11": { enabled: true, config } };
      const cluster = await Cluster.start({ node: "none", config: { plugins } });
      const times: Record<CertificateOrder["kind"], number> = { ssh: 0, x509: 0 };
      try {
        for (const kind of ["ssh", "x509"] as const) times[kind] = await burst(cluster, kind, rounds);
      } finally {
        await cluster.stop();
      }
      const what = (kind: string) => `${AT_ONCE} ${kind} user certificates at once over gRPC, HSM of ${SIGNATURE_MS} ms`;
      return [
        absolute(what("SSH"), times.ssh, "ms", 1500, "at most"),
        absolute(what("X.509"), times.x509, "ms", 1500, "at most"),
        absolute("longest pause of the event loop meanwhile", await longestPause(token), "ms", 50, "at most"),
      ];
    } finally {
      tokens.close();
    }
  },
};

// --- internal ---

/** Milliseconds until all have their certificate, the median. */
async function burst(cluster: Cluster, kind: CertificateOrder["kind"], rounds: number): Promise<number> {
  const order: CertificateOrder = { ...loginSessionOf(cluster, cluster.home), inFlight: AT_ONCE, kind };
  const client = fork(fileURLToPath(new URL("../certificate-client.js", import.meta.url)), [], {
    env: { ...process.env, CERTIFICATE_BENCH: JSON.stringify(order) },
  });
  try {
    const times: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      client.send(AT_ONCE);
      const failure = once(client, "exit").then(() => {
        throw new Error("the client of the hsm row failed");
      });
      const [rate] = (await Promise.race([once(client, "message"), failure])) as [number];
      if (round > 0) times.push((AT_ONCE * 1000) / rate); // the first warms up
    }
    return median(times);
  } finally {
    client.disconnect();
  }
}

/** Milliseconds, in this process. */
async function longestPause(token: { readonly module: string; readonly sessions: number }): Promise<number> {
  const pool = new SessionPool({ ...token, label: "bench", pin: new Secret(PIN), timeoutMs: 20_000 }, silentLogger);
  await pool.start();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  try {
    const backend = new Pkcs11KeyBackend([pool]);
    const { handle } = await backend.generate("ecdsa-p256");
    const texts = Array.from({ length: AT_ONCE }, () => randomBytes(1_000));
    await Promise.all(texts.map((text) => backend.sign(handle, text))); // every session knows the key
    delay.enable();
    await Promise.all(texts.map((text) => backend.sign(handle, text)));
    return delay.max / 1_000_000;
  } finally {
    delay.disable();
    await pool.close(2_000);
  }
}
