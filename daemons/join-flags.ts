import type { Flags } from "../core/plugin/commands.js";

/** Flags of the daemons that join a cluster and keep their own state. */
export const JOIN_FLAGS = {
  authServer: { type: "list", description: "Auth service; several are tried in order", valueName: "host:port" },
  token: {
    type: "secret",
    env: "MEZITE_JOIN_TOKEN",
    description: "One-time join token, needed at the first start only",
    valueName: "token",
  },
  tokenFile: { type: "string", description: "File that holds the join token", valueName: "file" },
  dataDir: { type: "string", description: "Folder for this daemon's keys and certificates", valueName: "folder" },
} as const satisfies Flags;
