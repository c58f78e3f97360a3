import { command, defineCommands, group } from "../core/plugin/commands.js";

export default defineCommands({
  mezd: [
    group({
      name: "config",
      summary: "Check the configuration",
      commands: [
        command({
          name: "check",
          summary: "Read the configuration as the daemon would, and open nothing",
          description:
            "Checks every key against the plugins that are on, orders them by what they require, and calls their register.",
          examples: ["mezd config check --config=/etc/mezite/mezite.yaml"],
          async run(context) {
            const { checkConfig } = await import("./check-config.js");
            await checkConfig(context);
          },
        }),
      ],
    }),
  ],
});
