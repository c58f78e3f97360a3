import type { CatalogEntry } from "../../core/host/catalog.js";
import type { AuditEvent } from "../../core/plugin/audit.js";
import type { Caller } from "../../core/plugin/caller.js";
import { definePlugin, type ProcessRole, type Resolve } from "../../core/plugin/contract.js";
import type { Manifest } from "../../core/plugin/manifest.js";
import { AUDIT_SINK } from "../../core/ports/audit-sink.js";
import { AUTHENTICATOR } from "../../core/ports/authenticator.js";

/** Who makes a call in a test: a person, or a process of the cluster. */
export type TestCaller =
  | { readonly user: string; readonly roles?: readonly string[] }
  | { readonly agent: string; readonly role: Exclude<ProcessRole, "auth" | "identity"> };

/** The token that a test's connection sends for a caller. */
export function tokenOf(caller: TestCaller): string {
  return PREFIX + Buffer.from(JSON.stringify(caller)).toString("base64url");
}

/**
 * The plugin `test-kit`: believes the tokens of `tokenOf`, collects audit events, and hands out a `resolve` for the ports and services
 * that the plugins under test fill and provide.
 */
export function testKitPlugin(
  tested: readonly Manifest[],
  audits: AuditEvent[],
  onResolve: (resolve: Resolve) => void,
): CatalogEntry {
  const wanted = new Map(
    tested.flatMap(({ implements: filled = [], provides = [] }) => [
      ...filled.map(({ port }) => [port, { service: port, version: 1, optional: true }] as const),
      ...provides.map((each) => [each.service, { service: each.service, version: each.version, optional: true }] as const),
    ]),
  );
  const manifest: Manifest = {
    id: "test-kit",
    version: "1.0.0",
    apiVersion: 1,
    summary: "Callers and audit events of a test",
    runsIn: ["auth"],
    entries: { service: "./plugin.js" },
    requires: [...wanted.values()],
    implements: [
      { port: AUTHENTICATOR.id, name: "test-kit" },
      { port: AUDIT_SINK.id, name: "test-kit" },
    ],
  };
  const plugin = definePlugin({
    register(host) {
      host.implement(AUTHENTICATOR, "test-kit", () => ({ authenticate: async ({ bearerToken }) => callerOf(bearerToken) }));
      host.implement(AUDIT_SINK, "test-kit", () => ({ append: async (events) => void audits.push(...events) }));
      host.run((resolve) => ({ start: async () => onResolve(resolve) }));
    },
  });
  return { manifest, onByDefault: true, service: async () => ({ default: plugin }) };
}

// --- internal ---

const PREFIX = "test-kit.";

function callerOf(token: string | null): Caller | null {
  if (token?.startsWith(PREFIX) !== true) return null;
  const caller = JSON.parse(Buffer.from(token.slice(PREFIX.length), "base64url").toString()) as TestCaller;
  if ("user" in caller) {
    const { user: name, roles = [] } = caller;
    return { ...{ kind: "user", name, roles, sessionId: `of ${name}`, mustChangePassword: false }, traits: NO_TRAITS };
  }
  const { agent: name, role } = caller;
  return { ...{ kind: "agent", id: `id of ${name}`, name, role }, certificateSerial: "1", certificateExpiresAt: FAR };
}

const NO_TRAITS = { internal: {}, external: {} };
const FAR = new Date("9999-01-01T00:00:00Z");
