import { MEZD_FLAGS } from "../core/cli/global-flags.js";
import { main } from "../core/cli/program.js";
import { RELEASE } from "../core/cli/release.js";

await main({
  binary: "mezd",
  version: RELEASE,
  summary: "The Mezite daemon: auth service, proxy and node agent",
  globals: MEZD_FLAGS,
  stopGraceSeconds: 30,
  commands: [
    {
      name: "start",
      summary: "Run every service that the config file switches on",
      load: async () => (await import("./start.js")).default,
    },
    { name: "auth", summary: "Run the auth service alone", load: async () => (await import("./auth.js")).default },
    { name: "proxy", summary: "Run a proxy alone", load: async () => (await import("./proxy.js")).default },
    { name: "node", summary: "Run the agent of this host alone", load: async () => (await import("./node.js")).default },
    {
      name: "identity",
      summary: "Keep the certificates of an agent identity in a folder",
      load: async () => (await import("./identity.js")).default,
    },
    {
      name: "health",
      summary: "Ask whether a daemon is ready, for health checks of containers",
      load: async () => (await import("./health.js")).default,
    },
    {
      name: "database",
      summary: "Move the database of a cluster to another place",
      load: async () => (await import("./database.js")).default,
    },
    { name: "config", summary: "Check the configuration", load: async () => (await import("./config.js")).default },
  ],
});
