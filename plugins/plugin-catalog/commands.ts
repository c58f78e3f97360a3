import { command, defineCommands, group } from "../../core/plugin/commands.js";

const TEMPLATE_PORTS = [
  "audit-forwarder",
  "audit-sink",
  "authenticator",
  "guard",
  "key-backend",
  "recording-store",
  "storage-driver",
] as const;

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
        command({
          name: "new",
          summary: "Write the beginnings of a plugin: a package that compiles, with tests that pass",
          description: "Asks no server. The package goes into a new folder, by default named after it, where you are.",
          examples: ["mezctl plugins new recording.tape --port=recording-store", "mezctl plugins new acme-notes --subsystem"],
          positionals: { id: { description: "Id of the plugin, e.g. acme-notes" } },
          flags: {
            port: { type: "enum", choices: TEMPLATE_PORTS, env: false, description: "It fills this port" },
            subsystem: { type: "boolean", env: false, description: "It brings a table, calls and commands" },
            out: { type: "string", env: false, valueName: "folder", description: "Where to write it" },
          },
          async run(context, input) {
            const { newPlugin } = await import("./new-plugin.js");
            await newPlugin(context, input);
          },
        }),
      ],
    }),
  ],
});
