import type { Permission, PermissionHolder } from "../plugin/caller.js";
import type { CallContext } from "../plugin/rpc.js";

/** How one method is served now. */
export interface CallRoute {
  readonly permission: Permission | "public";
  readonly holders: readonly PermissionHolder[];
  /** Unary answers resolve; streaming ones return an async iterable. */
  readonly handler: (request: unknown, call: CallContext) => Promise<unknown> | AsyncIterable<unknown>;
  /** Keeps the plugin instance alive during the call. */
  lease(): () => void;
}

/** Finds the route of a method in the current generation; `null` when its plugin is not enabled. */
export type CallRouter = (service: string, method: string) => CallRoute | null;
