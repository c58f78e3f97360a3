import { command, defineCommands, group } from "../../core/plugin/commands.js";

const TEMPLATE_PORTS = [
  "audit-forwarder",
  "audit-sink",
  "authenticator",
  "connector",
  "guard",
  "integration",
  "key-backend",
  "recording-store",
  "storage-driver",
] as const;

const source = { description: "npm:<name>@<version> or path:<folder or file>, on the server's machine and in its plugins_dir" };
const id = { description: "Id of the plugin, as plugins ls shows it" };

export default defineCommands({
  mezctl: [
    group({
      name: "plugins",
      summary: "Add, list, inspect, switch and reload plugins",
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
          name: "add",
          summary: "Take a package that is on the server's machine as a plugin",
          description:
            "Its code runs in the server and can do what that can, unless it is isolated. What is there is copied and pinned; the decision outlives a restart, and the other auth servers follow. A plugin that was added before is replaced by its new version. Sessions that are under way go on.",
          examples: [
            "mezctl plugins add npm:@acme/mezite-hr-sync@1.4.2",
            "mezctl plugins add path:hr-sync --isolation=process --from-file=hr-sync.yaml",
          ],
          positionals: { source },
          flags: {
            integrity: { type: "string", valueName: "sha256-…", description: "Refuse the package unless it is this one" },
            isolation: {
              type: "enum",
              choices: ["none", "process"],
              description: "process runs it in a child process; default: as it asks",
            },
            memoryMib: { type: "integer", min: 64, max: 65_536, description: "Memory of the child process; default 256" },
            fromFile: {
              type: "string",
              valueName: "file",
              description: "Its config, as YAML or JSON, secrets as file: or env: references; - reads standard input",
              aliases: ["file"],
              env: false,
            },
          },
          async run(context, input) {
            const { addPlugin } = await import("./package-commands.js");
            await addPlugin(context, input);
          },
        }),
        command({
          name: "pin",
          summary: "Show the hash of a package, or take an added plugin's package as it is now",
          description:
            "With a source, shows what to write after integrity: in the config file, and changes nothing. With the id of a plugin that was added, what is there now runs from now on.",
          examples: ["mezctl plugins pin npm:@acme/mezite-hr-sync@1.4.2", "mezctl plugins pin hr-sync"],
          positionals: { target: { description: "Id of a plugin that was added, or a source as in plugins add" } },
          async run(context, { target }) {
            const { pinPlugin } = await import("./package-commands.js");
            await pinPlugin(context, target);
          },
        }),
        command({
          name: "rm",
          summary: "Take out a plugin that was added",
          description: "Refused while another plugin requires it. Its data stays. Sessions that are under way go on.",
          examples: ["mezctl plugins rm hr-sync"],
          positionals: { id },
          async run(context, input) {
            const { removePlugin } = await import("./package-commands.js");
            await removePlugin(context, input.id);
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
