import { command, defineCommands } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    command({
      name: "login",
      summary: "Log in and print a session token",
      description:
        "Prints only the token, for MEZITE_AUTH_TOKEN. A one-time password has to be changed on the way in: on a terminal you are asked for the new one, otherwise give it with --new-password-stdin.",
      examples: [
        "export MEZITE_AUTH_TOKEN=$(mezctl login --username=admin)",
        "mezctl login --username=admin --password-stdin < password-file",
      ],
      flags: {
        username: {
          type: "string",
          required: true,
          valueName: "name",
          description: "Your user name",
          aliases: ["user"],
          env: "MEZITE_USERNAME",
        },
        connector: {
          type: "string",
          env: "MEZITE_CONNECTOR",
          valueName: "name",
          description: "Who checks the password, in place of the cluster",
        },
        password: {
          type: "secret",
          required: true,
          prompt: "Password",
          description: "Your password; others on this machine can read it here, so rather use --password-stdin or the prompt",
          env: "MEZITE_PASSWORD",
        },
        newPassword: { type: "secret", description: "Takes the place of the password", env: "MEZITE_NEW_PASSWORD" },
        otp: { type: "secret", description: "Code of your authenticator app, or a recovery code; asked for when absent" },
        ttl: { type: "duration", maxSeconds: 86_400, description: "How long the session lasts; at most 24h", env: false },
      },
      async run(context, input) {
        const { logIn } = await import("./login-commands.js");
        await logIn(context, input);
      },
    }),
    command({
      name: "logout",
      summary: "End the session of the token",
      examples: ["mezctl logout"],
      async run(context) {
        const { logOut } = await import("./login-commands.js");
        await logOut(context);
      },
    }),
    command({
      name: "passwd",
      summary: "Change your own password",
      description: "Your other login sessions end.",
      examples: ["mezctl passwd"],
      flags: {
        oldPassword: {
          type: "secret",
          required: true,
          prompt: "Old password",
          description: "The password until now",
          env: false,
        },
        newPassword: {
          type: "secret",
          required: true,
          prompt: "New password",
          confirm: true,
          description: "The password from now on",
          env: false,
        },
      },
      async run(context, input) {
        const { changePassword } = await import("./login-commands.js");
        await changePassword(context, input);
      },
    }),
  ],
});
