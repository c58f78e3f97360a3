import { command, defineCommands } from "../core/plugin/commands.js";

export default defineCommands({
  mezd: [
    command({
      name: "health",
      summary: "Ask whether a daemon is ready, for health checks of containers",
      description:
        "Asks a proxy's web server for /readyz, and an auth service whether it answers. Exits with 0 when it is ready, with 7 " +
        "when it is not. It says nothing of itself; with --ca-file it believes nobody else than the holder of a certificate of that CA. " +
        "Without, no certificate is checked: ask on the machine itself.",
      examples: ["mezd health", "mezd health --address=127.0.0.1:3025 --ca-file=/var/lib/mezite/host-ca.pem"],
      flags: {
        address: {
          type: "string",
          description: "Web server of a proxy, the one port, or an auth service",
          default: "127.0.0.1:3080",
          valueName: "host:port",
        },
        caFile: {
          type: "string",
          description: "Certificates of the Host CA, PEM: only who has one of it, for this address, counts",
          valueName: "file",
        },
        timeout: { type: "duration", description: "How long it may take", default: "5s" },
      },
      async run({ stdout }, { address, caFile, timeout }) {
        const { askHealth } = await import("./ask-health.js");
        const { parseHostPort } = await import("../core/rpc/address.js");
        stdout.write(`${await askHealth(parseHostPort(address), { timeoutSeconds: timeout, caFile: caFile ?? null })}\n`);
      },
    }),
  ],
});
