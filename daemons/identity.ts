import { command, defineCommands, group } from "../core/plugin/commands.js";

export default defineCommands({
  mezd: [
    group({
      name: "identity",
      summary: "Keep the certificates of an agent identity in a folder",
      commands: [
        command({
          name: "start",
          summary: "Bootstrap with a one-time token, then renew the certificates until stopped",
          description:
            "Writes ssh_key, ssh_cert, x509_cert.pem, x509_key.pem, cert_serial and ssh_known_hosts. The token is needed once, and never sent. SIGHUP renews at once. --config reads the same keys from a YAML file of its own; without it no file is read.",
          examples: [
            "mezd identity start --auth-server=auth.example.com:3025 --token-file=/run/secrets/token --destination-dir=/var/lib/mezite/identity",
            "mezd identity start --config=/etc/mezite/identity.yaml",
            "mezd identity start --auth-server=auth.example.com:3025 --proxy=proxy.example.com:3023 --destination-dir=/tmp/mezite-certs --one-shot",
            "mezd identity start --config=/etc/mezite/identity.yaml --workload-socket=/run/mezite/workload.sock",
          ],
          flags: {
            authServer: { type: "list", description: "Auth service; several are tried in order", valueName: "host:port" },
            token: {
              type: "secret",
              env: "MEZITE_IDENTITY_TOKEN",
              description: "One-time token, from mezctl agent-identities add",
              valueName: "token",
            },
            tokenFile: {
              type: "string",
              env: "MEZITE_IDENTITY_TOKEN_FILE",
              description: "File that holds the token",
              valueName: "file",
            },
            destinationDir: { type: "string", description: "Folder for the certificates and keys", valueName: "folder" },
            certTtl: { type: "duration", description: "Life of the certificates (default 1h)", valueName: "duration" },
            renewalInterval: {
              type: "duration",
              description: "How often they are renewed (default 20m); shorter than their life",
              valueName: "duration",
            },
            oneShot: { type: "boolean", env: false, description: "Get certificates once and exit" },
            proxy: {
              type: "list",
              env: "MEZITE_IDENTITY_PROXY",
              description:
                "SSH proxy of the cluster, several are tried in order: writes ssh_config too, with which ssh -F reaches the nodes",
              valueName: "host:port",
            },
            groupReadable: { type: "string", description: "Group that may read the files", valueName: "group" },
            healthAddr: {
              type: "string",
              description: "Answer GET /healthz here: a loopback address or the path of a unix socket",
              valueName: "host:port|path",
            },
            workloadSocket: {
              type: "string",
              env: "MEZITE_IDENTITY_WORKLOAD_SOCKET",
              description: "Serve the SPIFFE Workload API to programs of this host on this unix socket",
              valueName: "path",
            },
            workloadSocketMode: {
              type: "string",
              description: "Permissions of that socket (default 0666: programs are told apart by what they are)",
              valueName: "mode",
            },
          },
          async run(context, input) {
            const { startIdentity } = await import("./identity/start-identity.js");
            await startIdentity(context, input);
          },
        }),
      ],
    }),
  ],
});
