import { createHash } from "node:crypto";
import type { CommandReference, DescribedCommand, Manifest } from "../../core/plugin/manifest.js";

/** What a plugin adds to the server and the command line. */
export interface PluginDescription {
  readonly id: string;
  readonly version: string;
  readonly commands: readonly CommandReference[];
  /** Full names of gRPC services. */
  readonly rpc: readonly string[];
  readonly permissions: readonly { readonly permission: string; readonly grantedTo: readonly string[] }[];
  /** `FileDescriptorSet`s of the services that described commands call. */
  readonly descriptors: readonly Uint8Array[];
}

/** Says what a plugin contributes, as its manifest has it. */
export function describePlugin(
  { id, version, contributes }: Manifest,
  descriptors: readonly Uint8Array[] = [],
): PluginDescription {
  return {
    ...{ id, version, descriptors },
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
function inOrder({ id, version, commands, rpc, permissions, descriptors }: PluginDescription): unknown {
  return [
    id,
    version,
    commands.map(({ binary, name, summary, commands: described = [] }) => [binary, name, summary, described.map(commandInOrder)]),
    rpc,
    permissions.map(({ permission, grantedTo }) => [permission, grantedTo]),
    descriptors.map((each) => Buffer.from(each).toString("base64")),
  ];
}

function commandInOrder({ name, summary, rpc, arguments: given = [], output }: DescribedCommand): unknown {
  return [
    ...[name, summary, rpc, output?.rows, output?.record],
    given.map((each) => [each.name, each.type, each.description, each.field, each.positional, each.required, each.choices]),
    output?.columns.map(({ header, field }) => [header, field]),
  ];
}
