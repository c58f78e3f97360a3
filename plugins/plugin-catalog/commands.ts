import { command, defineCommands, group } from "../../core/plugin/commands.js";

const id = { description: "Id of the plugin, as plugins ls shows it" };

export default defineCommands({
  mezctl: [
    group({
      name: "plugins",
      summary: "List, inspect, enable, disable and reload plugins",
      commands: [
        command({
          name: "ls",
          summary: "List the plugins that the auth server knows",
          examples: ["mezctl plugins ls"],
          async run(context) {
            const { listPlugins } = await import("./plugin-commands.js");
            await listPlugins(context);
          },
        }),
        command({
          name: "inspect",
          summary: "Show what a plugin needs, adds and touches",
          examples: ["mezctl plugins inspect recordings"],
          positionals: { id },
          async run(context, input) {
            const { inspectPlugin } = await import("./plugin-commands.js");
            await inspectPlugin(context, input.id);
          },
        }),
        command({
          name: "enable",
          summary: "Switch a plugin on in the running server",
          description: "Sessions that are under way go on. The decision outlives a restart and wins over the config file.",
          examples: ["mezctl plugins enable recordings"],
          positionals: { id },
          async run(context, input) {
            const { enablePlugin } = await import("./plugin-commands.js");
            await enablePlugin(context, input.id);
          },
        }),
        command({
          name: "disable",
          summary: "Switch a plugin off in the running server",
          description:
            "Refused while another plugin requires it. Its data stays; its commands answer that it is not enabled. Sessions that are under way go on.",
          examples: ["mezctl plugins disable recordings"],
          positionals: { id },
          async run(context, input) {
            const { disablePlugin } = await import("./plugin-commands.js");
            await disablePlugin(context, input.id);
          },
        }),
        command({
          name: "reload",
          summary: "Read the config file again and apply what changed",
          description: "With an id, that plugin is started anew even when nothing changed. Sessions that are under way go on.",
          examples: ["mezctl plugins reload", "mezctl plugins reload recordings"],
          positionals: { id: { ...id, required: false } },
          async run(context, input) {
            const { reloadPlugins } = await import("./plugin-commands.js");
            await reloadPlugins(context, input.id);
          },
        }),
      ],
    }),
  ],
});
