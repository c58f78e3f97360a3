import { command, defineCommands, group } from "../../core/plugin/commands.js";

const KEY = { description: "Name of the setting, e.g. session_idle_timeout" } as const;

export default defineCommands({
  mezctl: [
    group({
      name: "config",
      summary: "Show and change settings of the whole cluster",
      description:
        "Settings that hold in every process and change while they run. What is set here comes before the config file of the " +
        "auth service, and that before the default. The files of proxies and nodes do not count.",
      commands: [
        command({
          name: "get",
          summary: "Print one setting, or list all with default, source and meaning",
          description: "With a key, a table is the bare value, for scripts; --format=json or yaml shows the rest.",
          examples: ["mezctl config get", "mezctl config get second_factor", "mezctl config get second_factor --format=json"],
          positionals: { key: { ...KEY, required: false } },
          async run(context, input) {
            const { getSettings } = await import("./config-commands.js");
            await getSettings(context, input.key);
          },
        }),
        command({
          name: "set",
          summary: "Change a setting; takes effect everywhere without a restart",
          examples: ["mezctl config set second_factor required", "mezctl config set access_request_approvals 2"],
          positionals: { key: KEY, value: { description: "Its new value; mezctl config get shows what it may be" } },
          async run(context, input) {
            const { setSetting } = await import("./config-commands.js");
            await setSetting(context, input.key, input.value);
          },
        }),
        command({
          name: "unset",
          summary: "Forget what was set: back to the file of the auth service, or the default",
          examples: ["mezctl config unset second_factor"],
          positionals: { key: KEY },
          async run(context, input) {
            const { unsetSetting } = await import("./config-commands.js");
            await unsetSetting(context, input.key);
          },
        }),
      ],
    }),
  ],
});
