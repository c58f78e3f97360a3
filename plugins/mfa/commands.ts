import { command, defineCommands, group } from "../../core/plugin/commands.js";

const OTP = { type: "secret", description: "Code of your authenticator app, or a recovery code; asked for when absent" } as const;
const USER = { name: { description: "Name of the user", aliases: ["username"] } } as const;

export default defineCommands({
  msh: [
    group({
      name: "mfa",
      summary: "Your second factors",
      commands: [
        command({
          name: "add",
          summary: "Add an authenticator app, a passkey or a security key",
          description:
            "An app is added here with a QR code; a passkey or security key on a page of the proxy, whose link works once. Whoever has a factor proves it first. The first factor comes with ten recovery codes.",
          examples: ["msh mfa add", 'msh mfa add --type=webauthn --name="blue key"'],
          flags: {
            type: { type: "enum", choices: ["totp", "webauthn"], default: "totp", env: false, description: "Kind of factor" },
            name: { type: "string", env: false, description: "What to call it" },
            otp: OTP,
          },
          async run(context, input) {
            const { addFactor } = await import("./mfa-commands.js");
            await addFactor(context, input);
          },
        }),
        command({
          name: "ls",
          summary: "List your second factors",
          examples: ["msh mfa ls"],
          async run(context) {
            const { listFactors } = await import("./mfa-commands.js");
            await listFactors(context);
          },
        }),
        command({
          name: "rm",
          summary: "Remove one of your second factors",
          description: "Asks for a factor, or a recovery code, first.",
          examples: ["msh mfa rm authenticator-app"],
          positionals: { factor: { description: "Its name or id" } },
          flags: { otp: OTP },
          async run(context, input) {
            const { removeFactor } = await import("./mfa-commands.js");
            await removeFactor(context, input);
          },
        }),
        command({
          name: "recovery-codes",
          summary: "Make new recovery codes in place of the old",
          examples: ["msh mfa recovery-codes"],
          flags: { otp: OTP },
          async run(context, input) {
            const { replaceRecoveryCodes } = await import("./mfa-commands.js");
            await replaceRecoveryCodes(context, input);
          },
        }),
      ],
    }),
  ],
  mezctl: [
    group({
      name: "users",
      summary: "Second factors of users",
      commands: [
        command({
          name: "list-mfa",
          summary: "List the second factors of a user",
          examples: ["mezctl users list-mfa alice"],
          positionals: USER,
          async run(context, { name }) {
            const { listUserFactors } = await import("./user-commands.js");
            await listUserFactors(context, name);
          },
        }),
        command({
          name: "add-mfa",
          summary: "Print a one-time link with which a user adds a second factor",
          description:
            "The link opens a page of the proxy. Give it to the user over a way that you trust: whoever opens it adds a factor.",
          examples: ["mezctl users add-mfa alice --type=webauthn"],
          positionals: USER,
          flags: {
            type: { type: "enum", choices: ["webauthn"], default: "webauthn", env: false, description: "Kind of factor" },
          },
          async run(context, { name }) {
            const { createEnrolmentLink } = await import("./user-commands.js");
            await createEnrolmentLink(context, name);
          },
        }),
        command({
          name: "reset-totp",
          summary: "Remove the authenticator apps of a user",
          examples: ["mezctl users reset-totp alice"],
          positionals: USER,
          async run(context, { name }) {
            const { resetFactors } = await import("./user-commands.js");
            await resetFactors(context, name, "totp");
          },
        }),
        command({
          name: "reset-webauthn",
          summary: "Remove the passkeys and security keys of a user",
          examples: ["mezctl users reset-webauthn alice"],
          positionals: USER,
          async run(context, { name }) {
            const { resetFactors } = await import("./user-commands.js");
            await resetFactors(context, name, "webauthn");
          },
        }),
      ],
    }),
  ],
});
