import { createHash } from "node:crypto";
import type { CommandReference, Manifest } from "../../core/plugin/manifest.js";

/** What a plugin adds to the server and the command line. */
export interface PluginDescription {
  readonly id: string;
  readonly version: string;
  readonly commands: readonly CommandReference[];
  /** Full names of gRPC services. */
  readonly rpc: readonly string[];
  readonly permissions: readonly { readonly permission: string; readonly grantedTo: readonly string[] }[];
}

/** Says what a plugin contributes, as its manifest has it. */
export function describePlugin({ id, version, contributes }: Manifest): PluginDescription {
  return {
    ...{ id, version },
    commands: contributes?.commands ?? [],
    rpc: contributes?.rpc ?? [],
    permissions: contributes?.permissions ?? [],
  };
}

/** SHA-256 in hex over descriptions in the order given; the same for the same set of plugins. */
export function digestOf(descriptions: readonly PluginDescription[]): string {
  return createHash("sha256")
    .update(JSON.stringify(descriptions.map(inOrder)))
    .digest("hex");
}

// --- internal ---

/** As arrays: the order of keys in a manifest must not count. */
function inOrder({ id, version, commands, rpc, permissions }: PluginDescription): unknown {
  return [
    id,
    version,
    commands.map(({ binary, name, summary }) => [binary, name, summary]),
    rpc,
    permissions.map(({ permission, grantedTo }) => [permission, grantedTo]),
  ];
}
