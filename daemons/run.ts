import { once } from "node:events";
import { RELEASE } from "../core/cli/release.js";
import { claimDataDirectory } from "../core/host/data-directory.js";
import { Host } from "../core/host/host.js";
import { makeLogger } from "../core/host/logger.js";
import { AT_START } from "../core/host/package-leniency.js";
import type { CommandContext } from "../core/plugin/commands.js";
import { FIRST_START } from "../core/plugin/first-start.js";
import { sshCryptoBackend } from "../core/ssh/ssh2.js";
import { systemClock } from "../core/time/clock.js";
import { hasControllingTerminal } from "./controlling-terminal.js";
import { hangupListener } from "./hangup.js";
import { type DaemonInput, readJoinToken, SettingsReader } from "./settings.js";
import { welcome } from "./welcome.js";

/**
 * Runs a daemon until it is told to stop: SIGINT and SIGTERM stop it cleanly, SIGHUP reads the config file again,
 * or stops it when it comes because the terminal that shows its output was closed.
 * @throws {MezError} what kept it from starting; everything it had opened is closed. What kept it from going on: the process has to end.
 */
export async function runDaemon(context: CommandContext, input: DaemonInput): Promise<void> {
  const reader = new SettingsReader(context, input);
  const settings = await reader.read(null, AT_START);
  const { config } = settings;
  const logger = await makeLogger(config);
  const roles = input.roles === null ? config.roles : new Set(input.roles);
  const release = await claimDataDirectory(config.dataDirectory);
  try {
    const host = new Host({
      ...settings,
      readSettings: (decisions, leniency) => reader.read(decisions, leniency),
      identifyPackage: (from) => reader.identify(from),
      process: {
        clusterName: config.clusterName,
        version: RELEASE,
        roles,
        dataDirectory: config.dataDirectory,
        authAddresses: config.auth.addresses,
        joinToken: readJoinToken(input),
      },
      clock: systemClock,
      logger,
    });
    const core = logger("core");
    core.info("starting", {
      version: RELEASE,
      roles: [...roles],
      config: config.file ?? "defaults",
      sshCrypto: sshCryptoBackend(),
    });
    await host.start();
    await reader.prune();
    const isShown = process.stdout.isTTY && hasControllingTerminal();
    const onHangup = hangupListener({
      isTerminalGone: () => isShown && !hasControllingTerminal(),
      stop: () => void process.kill(process.pid, "SIGTERM"),
      reload: () =>
        void host.plugins.reload().then(
          ({ generation }) => core.info("configuration applied", { generation }),
          (error: Error) => core.error(`the configuration was not applied: ${error.message}`),
        ),
    });
    process.on("SIGHUP", onHangup);
    core.info("ready", { auth: host.authAddress ?? undefined });
    await welcome(context, config, roles, (await host.provided(FIRST_START)?.makeAdmin()) ?? null);
    if (!context.signal.aborted) await Promise.race([once(context.signal, "abort"), host.broken]);
    core.info("stopping");
    process.off("SIGHUP", onHangup);
    await Promise.race([host.stop(), host.broken]);
  } finally {
    await release();
  }
}
