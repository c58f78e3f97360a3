import { MSH_FLAGS } from "../core/cli/global-flags.js";
import { main } from "../core/cli/program.js";
import { RELEASE } from "../core/cli/release.js";
import { USER_COMMANDS } from "./msh/commands.js";
import { pluginCommands } from "./plugin-commands.js";
import { pluginLoginAnswer } from "./plugin-login-answers.js";

await main({
  binary: "msh",
  version: RELEASE,
  summary: "Reach the machines of a Mezite cluster",
  globals: MSH_FLAGS,
  loginAnswers: pluginLoginAnswer,
  commands: [...USER_COMMANDS, ...pluginCommands("msh")],
  renewLogin: async (context) => {
    const { renewChosenLogin } = await import("./msh/renew-login.js");
    await renewChosenLogin(context);
  },
  connect: async (context) => {
    const { connectAsUser } = await import("./msh/user-connection.js");
    return connectAsUser(context);
  },
});
