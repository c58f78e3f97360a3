import { MEZCTL_FLAGS } from "../core/cli/global-flags.js";
import { main } from "../core/cli/program.js";
import { RELEASE } from "../core/cli/release.js";
import { hasDescriptions, mayKnowForeignCommands } from "./foreign-commands.js";
import { pluginCommands } from "./plugin-commands.js";
import { pluginLoginAnswer } from "./plugin-login-answers.js";

await main({
  binary: "mezctl",
  version: RELEASE,
  summary: "Administer a Mezite cluster",
  globals: MEZCTL_FLAGS,
  loginAnswers: pluginLoginAnswer,
  commands: pluginCommands("mezctl"),
  serverCommands: {
    async find(word, context) {
      const { serverCommands } = await import("./server-commands.js");
      return serverCommands.find(word, context);
    },
    async known(context) {
      const { meziteFolder } = await import("./cluster-connection.js");
      const folder = meziteFolder(context);
      if (!mayKnowForeignCommands(folder)) return [];
      if (!hasDescriptions(folder)) {
        const { knownLocalCommands } = await import("./known-commands.js");
        return knownLocalCommands(folder);
      }
      const { serverCommands } = await import("./server-commands.js");
      return serverCommands.known(context);
    },
  },
  connect: async (context) => {
    const { connectAsAdministrator } = await import("./administrator-connection.js");
    return connectAsAdministrator(context);
  },
});
