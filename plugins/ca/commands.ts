import { command, defineCommands, group } from "../../core/plugin/commands.js";

const TYPES = ["user", "host", "spiffe"] as const;
const TYPE = { type: "enum", choices: TYPES, required: true, description: "Which authority", env: false } as const;
const FORCE = { type: "boolean", description: "Leave behind who has not followed, without a question", env: false } as const;

export default defineCommands({
  mezctl: [
    group({
      name: "ca",
      summary: "Show, export and rotate the certificate authorities",
      commands: [
        command({
          name: "status",
          summary: "Show phase and key fingerprints of every authority",
          description:
            "During a rotation it also says who has not followed yet, and how many certificates of each key are valid.",
          examples: ["mezctl ca status", "mezctl ca status --type=user", "mezctl ca status --format=json"],
          flags: { type: { type: "enum", choices: TYPES, description: "Only this authority", env: false } },
          async run(context, input) {
            const { showStatus } = await import("./status-command.js");
            await showStatus(context, input.type);
          },
        }),
        command({
          name: "export",
          summary: "Print the public keys or certificates of an authority",
          description:
            "openssh prints lines for TrustedUserCAKeys (user) or known_hosts (host), and is what these two are printed as; pem prints the X.509 certificates, which is the form of spiffe; jwks prints the trust bundle of spiffe as SPIFFE JWKS, and so does --format=json.",
          examples: [
            "mezctl ca export --type=user > /etc/ssh/mezite_user_ca.pub",
            "mezctl ca export --type=host --form=pem --out=host-ca.pem",
            "mezctl ca export --type=spiffe > svid-ca.pem",
            "mezctl ca export --type=spiffe --form=jwks --out=spiffe-bundle.json",
          ],
          flags: {
            type: TYPE,
            form: { type: "enum", choices: ["openssh", "pem", "jwks"], description: "How to print it", env: false },
            out: { type: "string", valueName: "file", description: "Write to this file instead of standard output", env: false },
          },
          async run(context, input) {
            const { exportAuthority } = await import("./export-command.js");
            await exportAuthority(context, input);
          },
        }),
        command({
          name: "rotate",
          summary: "Begin to replace the keys of an authority",
          description:
            "Makes new keys. Both are trusted until the rotation is complete, and the old ones sign until it is advanced: init, update-clients, update-servers, standby, complete.",
          examples: ["mezctl ca rotate --type=user", "mezctl ca rotate --type=host --key-backend=pkcs11"],
          flags: {
            type: TYPE,
            keyBackend: {
              type: "string",
              valueName: "name",
              description: "Where the new keys are made, e.g. software or pkcs11; default as the auth service is configured",
              env: false,
            },
          },
          async run(context, { type, keyBackend }) {
            const { rotate } = await import("./rotation-command.js");
            await rotate(context, type, keyBackend);
          },
        }),
        command({
          name: "advance",
          summary: "Go one phase on in a rotation",
          description:
            "Says by name who has not taken the new trust bundle or certificate yet, and asks; without a terminal it needs --force then. The last step, from standby to complete, destroys the old private keys.",
          examples: ["mezctl ca advance --type=user"],
          flags: { type: TYPE, force: FORCE },
          async run(context, { type, force }) {
            const { move } = await import("./rotation-command.js");
            await move(context, { type, way: "advance", force: force === true });
          },
        }),
        command({
          name: "rollback",
          summary: "Go one phase back in a rotation",
          description: "From init it ends the rotation and destroys the new private keys. There is no way back from complete.",
          examples: ["mezctl ca rollback --type=user"],
          flags: { type: TYPE, force: FORCE },
          async run(context, { type, force }) {
            const { move } = await import("./rotation-command.js");
            await move(context, { type, way: "rollback", force: force === true });
          },
        }),
      ],
    }),
  ],
});
