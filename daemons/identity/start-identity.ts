import { makeLogger } from "../../core/host/logger.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import { systemClock } from "../../core/time/clock.js";
import { AuthLink } from "./auth-link.js";
import { CertificateFolder } from "./certificate-folder.js";
import { claimDestination } from "./destination.js";
import { HealthState } from "./health.js";
import { serveHealth } from "./health-endpoint.js";
import { IdentityInstance } from "./instance.js";
import { dueAfterMs, RenewalLoop } from "./renewal-loop.js";
import { serviceManagerOf } from "./service-manager.js";
import { type IdentityInput, type IdentitySettings, readIdentitySettings } from "./settings.js";
import { TrustWatch } from "./trust-watch.js";
import type { WorkloadApi } from "./workload-api/workload-api.js";

/**
 * `mezd identity start`: until it is told to stop, or once.
 * @throws {MezError} what kept it from getting or renewing certificates
 */
export async function startIdentity(context: CommandContext, input: IdentityInput): Promise<void> {
  const settings = await readIdentitySettings(input, (context.globals.config as string | undefined) ?? null, context.env);
  const destination = await claimDestination(settings.destination, settings.group);
  try {
    await runIn(new CertificateFolder(destination, settings.sshProxies), settings, context);
  } finally {
    await destination.release();
  }
}

// --- internal ---

const ONE_SHOT_PATIENCE_MS = 30_000;
const ROTATION_SPREAD_MS = 15_000;

async function runIn(folder: CertificateFolder, settings: IdentitySettings, context: CommandContext): Promise<void> {
  const { signal } = context;
  const logger = (await makeLogger({ logLevel: "info", logFormat: "auto" }))("identity");
  const health = new HealthState(systemClock);
  const link = new AuthLink(settings.authServers);
  const { token, certTtlSeconds, renewalIntervalSeconds: intervalSeconds } = settings;
  const instance = new IdentityInstance({ folder, link, clock: systemClock, token, certTtlSeconds });
  const watch = new TrustWatch({ instance, link, logger, onSigningKey: () => renewSoon() });
  const onRenewal = (): void => {
    if (settings.oneShot) return;
    watch.follow();
    workloads?.follow();
  };
  const loop = new RenewalLoop({ instance, intervalSeconds, health, clock: systemClock, logger, random: Math.random, onRenewal });
  // Not all machines at the same moment, when the User CA is rotated.
  const renewSoon = (): void =>
    void setTimeout(() => loop.renewNow(), Math.random() * Math.min(ROTATION_SPREAD_MS, intervalSeconds * 250)).unref();
  const manager = serviceManagerOf(context.env, logger, () => health.report().status !== "expired");
  const onHangup = (): void => loop.renewNow();
  process.on("SIGHUP", onHangup);
  let workloads: WorkloadApi | null = null;
  let endpoint: { readonly address: string; close(): Promise<void> } | null = null;
  try {
    const isRestored = await instance.restore();
    if (settings.healthAddress !== null && !settings.oneShot) {
      endpoint = await serveHealth(settings.healthAddress, health);
      logger.info("answering GET /healthz", { address: endpoint.address });
    }
    if (settings.workloadSocket !== null) {
      const [{ serveWorkloadApi }, { RemoteWorkloadIssuer }] = await Promise.all([
        import("./workload-api/workload-api.js"),
        import("./workload-api/workload-issuer.js"),
      ]);
      const connection = (): RpcConnection | null => (instance.current === null ? null : link.connection(instance.current));
      const auth = new RemoteWorkloadIssuer(connection);
      workloads = await serveWorkloadApi({ socket: settings.workloadSocket, auth, clock: systemClock, logger });
    }
    if (settings.oneShot) {
      await loop.begin(isRestored, true, ONE_SHOT_PATIENCE_MS, signal);
      signal.throwIfAborted(); // success is files in place, and nothing less
      return;
    }
    await loop.begin(isRestored, await isDue(instance, intervalSeconds), Number.POSITIVE_INFINITY, signal);
    if (signal.aborted || instance.current === null) return;
    health.succeeded(instance.current);
    watch.follow();
    workloads?.follow();
    manager.ready(`certificates of ${instance.current.identity} are in ${settings.destination}`);
    logger.info("ready", { identity: instance.current.identity, destination: settings.destination });
    await loop.run(signal);
    logger.info("stopping");
  } finally {
    manager.stopping();
    manager.close();
    process.off("SIGHUP", onHangup);
    await endpoint?.close();
    await workloads?.close();
    await watch.close();
    link.close();
  }
}

/** A request without an answer is made again at once. */
async function isDue(instance: IdentityInstance, intervalSeconds: number): Promise<boolean> {
  const set = instance.current;
  if (set === null || (await instance.isInterrupted())) return true;
  return set.issuedAt.getTime() + dueAfterMs(set, intervalSeconds) <= Date.now();
}
