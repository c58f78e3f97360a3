import type { PermissionHolder } from "./caller.js";
import type { ProcessRole } from "./contract.js";

export interface ServiceReference {
  readonly service: string;
  readonly version: number;
  readonly runsIn?: readonly ProcessRole[];
}

export interface CommandReference {
  readonly name: string;
  readonly binary: "mezctl" | "msh";
  readonly summary: string;
  /** Adds commands to the group of this name that another plugin has. */
  readonly extends?: true;
  /** The commands under this word, for a `mezctl` that has no code of the plugin. */
  readonly commands?: readonly DescribedCommand[];
}

/** A command that is built from its description alone: it calls one method and prints the response. */
export interface DescribedCommand {
  readonly name: string;
  readonly summary: string;
  /** `acme.freezes.v1.FreezeService/CreateFreeze`. */
  readonly rpc: string;
  readonly arguments?: readonly DescribedArgument[];
  readonly output?: DescribedOutput;
}

export interface DescribedArgument {
  /** As it is typed, without the dashes: `agent-hostname`. */
  readonly name: string;
  readonly type: "string" | "boolean" | "integer" | "duration" | "list" | "labels" | "enum" | "secret";
  readonly description: string;
  /** Of the request, in camel case. */
  readonly field: string;
  readonly positional?: true;
  readonly required?: boolean;
  /** Of an enum. */
  readonly choices?: readonly string[];
}

export interface DescribedOutput {
  /** Repeated field of the response with the rows. */
  readonly rows?: string;
  /** Field of the response with the record; without both it is the response itself. */
  readonly record?: string;
  /** `field` may go into one message: `target.name`. */
  readonly columns: readonly { readonly header: string; readonly field: string }[];
}

/** `plugin.json` as `plugin.schema.json` describes it. */
export interface Manifest {
  readonly id: string;
  readonly version: string;
  readonly apiVersion: number;
  readonly host?: string;
  readonly summary: string;
  readonly essential?: boolean;
  readonly runsIn?: readonly ProcessRole[];
  readonly section?: string;
  readonly entries: { readonly service?: string; readonly commands?: string };
  readonly provides?: readonly ServiceReference[];
  /** Services and ports that it resolves; a port stands here under its own id. */
  readonly requires?: readonly (ServiceReference & { readonly optional?: boolean; readonly late?: boolean })[];
  readonly implements?: readonly { readonly port: string; readonly name: string; readonly runsIn?: readonly ProcessRole[] }[];
  /** Closed JSON Schema. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly secrets?: readonly string[];
  readonly contributes?: {
    readonly commands?: readonly CommandReference[];
    readonly rpc?: readonly string[];
    /** Method and path, e.g. `GET /v1/webapi/mfa/:link`; of the plugin's part in role proxy. */
    readonly webRoutes?: readonly string[];
    readonly permissions?: readonly { readonly permission: string; readonly grantedTo: readonly PermissionHolder[] }[];
    readonly auditEvents?: readonly string[];
    readonly collections?: readonly string[];
    readonly tables?: readonly string[];
  };
  readonly reach?: readonly string[];
  /** Runs in a process of its own unless the config file says otherwise. */
  readonly isolation?: "process";
  readonly reload?: "hot" | "restart";
}

/** The parts of `list` that hold in a process with `roles`. */
export function activeIn<Item extends { readonly runsIn?: readonly ProcessRole[] }>(
  list: readonly Item[] | undefined,
  roles: ReadonlySet<ProcessRole>,
): readonly Item[] {
  return (list ?? []).filter((item) => item.runsIn === undefined || item.runsIn.some((role) => roles.has(role)));
}

/** The roles of this process in which the plugin runs; empty when it has no business here. */
export function rolesHere(manifest: Manifest, roles: ReadonlySet<ProcessRole>): ReadonlySet<ProcessRole> {
  return new Set((manifest.runsIn ?? []).filter((role) => roles.has(role)));
}
