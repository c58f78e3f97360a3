import { command, defineCommands, group } from "../../core/plugin/commands.js";

const KEY = {
  type: "enum",
  choices: ["auto", "tpm", "file"],
  default: "auto",
  env: false,
  description: "Where the key is kept; auto takes the TPM where there is one",
} as const;
const NAME = { type: "string", env: false, description: "What to call the device; default: the name of this machine" } as const;
const ID = { id: { description: "Id of the device" } } as const;

export default defineCommands({
  msh: [
    group({
      name: "device",
      summary: "The device that you work at",
      commands: [
        command({
          name: "enroll",
          summary: "Enrol this machine for you",
          description:
            "Makes a key in the TPM of this machine, or else in a file. From the next login on, the machine proves it each time, " +
            "and roles that demand a device let you in.",
          examples: ["msh device enroll --token-stdin < token-file", 'msh device enroll --name="blue laptop"'],
          flags: {
            token: {
              type: "secret",
              env: "MEZITE_ENROLMENT_TOKEN",
              description: "From an administrator; not needed where everybody may enrol devices",
            },
            name: NAME,
            key: KEY,
          },
          async run(context, input) {
            const { enrolHere } = await import("./enrol-command.js");
            await enrolHere(context, input);
          },
        }),
      ],
    }),
  ],
  mezctl: [
    group({
      name: "devices",
      summary: "Enrol, list, revoke and remove devices",
      commands: [
        command({
          name: "add",
          summary: "Enrol this machine for you, or print a token with which a user enrols theirs",
          description: "The token works once, for that user alone; it is given to msh device enroll at the device.",
          examples: ["mezctl devices add", "mezctl devices add --user=alice --ttl=24h"],
          flags: {
            user: { type: "string", env: false, description: "Print a token for this user" },
            name: NAME,
            key: KEY,
            ttl: { type: "duration", env: false, maxSeconds: 604_800, description: "How long the token works; default 1h" },
          },
          async run(context, input) {
            const { addDevice } = await import("./device-commands.js");
            await addDevice(context, input);
          },
        }),
        command({
          name: "ls",
          summary: "List devices",
          examples: ["mezctl devices ls", "mezctl devices ls --format=json"],
          async run(context) {
            const { listDevices } = await import("./device-commands.js");
            await listDevices(context);
          },
        }),
        command({
          name: "rm",
          summary: "Forget a device; its sessions end",
          examples: ["mezctl devices rm 3f0c9a1e-6f4b-4c8e-9a53-0f8f6f0f2a11"],
          positionals: ID,
          async run(context, { id }) {
            const { removeDevice } = await import("./device-commands.js");
            await removeDevice(context, id);
          },
        }),
        command({
          name: "revoke",
          summary: "Let nobody in from a device any more; its sessions end",
          examples: ["mezctl devices revoke 3f0c9a1e-6f4b-4c8e-9a53-0f8f6f0f2a11"],
          positionals: ID,
          async run(context, { id }) {
            const { revokeDevice } = await import("./device-commands.js");
            await revokeDevice(context, id);
          },
        }),
      ],
    }),
  ],
});
