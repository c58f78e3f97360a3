import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "ca",
      summary: "Show and export the certificate authorities",
      commands: [
        command({
          name: "status",
          summary: "Show phase and key fingerprints of every authority",
          examples: ["mezctl ca status", "mezctl ca status --format=json"],
          async run(context) {
            const { showStatus } = await import("./status-command.js");
            await showStatus(context);
          },
        }),
        command({
          name: "export",
          summary: "Print the public keys or certificates of an authority",
          description:
            "openssh prints lines for TrustedUserCAKeys (user) or known_hosts (host); pem prints the X.509 certificates.",
          examples: [
            "mezctl ca export --type=user > /etc/ssh/mezite_user_ca.pub",
            "mezctl ca export --type=host --form=pem --out=host-ca.pem",
          ],
          flags: {
            type: { type: "enum", choices: ["user", "host"], required: true, description: "Which authority", env: false },
            form: { type: "enum", choices: ["openssh", "pem"], default: "openssh", description: "How to print it", env: false },
            out: { type: "string", valueName: "file", description: "Write to this file instead of standard output", env: false },
          },
          async run(context, input) {
            const { exportAuthority } = await import("./export-command.js");
            await exportAuthority(context, input);
          },
        }),
      ],
    }),
  ],
});
