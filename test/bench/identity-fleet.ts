import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../core/plugin/secret.js";
import { systemClock } from "../../core/time/clock.js";
import { AuthLink } from "../../daemons/identity/auth-link.js";
import { CertificateFolder } from "../../daemons/identity/certificate-folder.js";
import { HealthState } from "../../daemons/identity/health.js";
import { IdentityInstance } from "../../daemons/identity/instance.js";
import { RenewalLoop } from "../../daemons/identity/renewal-loop.js";
import { TrustWatch } from "../../daemons/identity/trust-watch.js";
import { silentLogger } from "../fixtures/silent-logger.js";

/** What the fleet is told to do. */
export interface FleetOrder {
  readonly authServer: string;
  /** One for each daemon. */
  readonly tokens: readonly string[];
  readonly folder: string;
  readonly intervalSeconds: number;
}

/** What one daemon of the fleet has come to. */
export interface FleetMember {
  readonly generation: number;
  /** Why it ended before it was told to; `null` when it did not. */
  readonly failure: string | null;
}

/** Many `mezd identity` in one process: everything of the daemon but its process, each with a folder and connections of its own. */
async function run(order: FleetOrder): Promise<void> {
  const stop = new AbortController();
  const members = order.tokens.map((token, index) => startMember(order, token, index, stop.signal));
  await Promise.all(members.map((member) => member.ready));
  process.send?.("ready");
  process.once("message", async () => {
    const results = members.map((member) => member.state());
    stop.abort();
    await Promise.all(members.map((member) => member.ended));
    process.send?.(results, () => process.disconnect());
  });
}

const { IDENTITY_FLEET } = process.env;
if (IDENTITY_FLEET !== undefined) await run(JSON.parse(IDENTITY_FLEET) as FleetOrder);

// --- internal ---

function startMember({ authServer, folder, intervalSeconds }: FleetOrder, token: string, index: number, signal: AbortSignal) {
  const path = join(folder, String(index));
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const link = new AuthLink([authServer]);
  const instance = new IdentityInstance({
    folder: new CertificateFolder({ path, groupId: null }),
    link,
    clock: systemClock,
    token: new Secret(token),
    certTtlSeconds: 3_600,
  });
  const watch = new TrustWatch({ instance, link, logger: silentLogger, onSigningKey: () => {} });
  const health = new HealthState(systemClock);
  const common = { instance, health, clock: systemClock, logger: silentLogger, random: Math.random };
  const loop = new RenewalLoop({ ...common, intervalSeconds, onRenewal: () => watch.follow() });
  let failure: string | null = null;
  const ready = instance.restore().then((isRestored) => loop.begin(isRestored, true, Number.POSITIVE_INFINITY, signal));
  const ended = ready
    .then(() => loop.run(signal))
    .catch((error: Error) => {
      failure = error.message;
    })
    .finally(async () => {
      await watch.close();
      link.close();
    });
  return { ready, ended, state: (): FleetMember => ({ generation: instance.current?.generation ?? 0, failure }) };
}
