import { command, defineCommands } from "../core/plugin/commands.js";

export default defineCommands({
  mezd: [
    command({
      name: "health",
      summary: "Ask whether a daemon is ready, for health checks of containers",
      description:
        "Asks a proxy's web server for /readyz, and an auth service whether it answers. Exits with 0 when it is ready, with 7 " +
        "when it is not. Nothing is authenticated, and no certificate is checked: ask on the machine itself.",
      examples: ["mezd health", "mezd health --address=127.0.0.1:3025"],
      flags: {
        address: {
          type: "string",
          description: "Web server of a proxy, the one port, or an auth service",
          default: "127.0.0.1:3080",
          valueName: "host:port",
        },
        timeout: { type: "duration", description: "How long it may take", default: "5s" },
      },
      async run({ stdout }, { address, timeout }) {
        const { askHealth } = await import("./ask-health.js");
        const { parseHostPort } = await import("../core/rpc/address.js");
        stdout.write(`${await askHealth(parseHostPort(address), timeout)}\n`);
      },
    }),
  ],
});
