import assert from "node:assert/strict";
import test from "node:test";
import type { Caller, Permission, PermissionHolder } from "../../core/plugin/caller.js";
import { RoleAuthorizer } from "./role-authorizer.js";

function person(roles: readonly string[], mustChangePassword = false): Caller {
  return { kind: "user", name: "alice", roles, traits: { internal: {}, external: {} }, sessionId: "s", mustChangePassword };
}
function agent(role: "proxy" | "node" | "auth"): Caller {
  return { kind: "agent", id: "0", name: "web-01", role, certificateSerial: "1", certificateExpiresAt: new Date(0) };
}

const CASES: readonly (readonly [
  what: string,
  caller: Caller,
  permission: Permission,
  holders: readonly PermissionHolder[],
  allowed: boolean,
])[] = [
  ["admin holds what nobody else holds", person(["admin"]), "user:create", [], true],
  ["a plain user does not", person(["access"]), "user:create", [], false],
  ["any session", person([]), "user:list", ["session"], true],
  ["auditor", person(["auditor"]), "audit:list", ["auditor"], true],
  ["admin reads the audit log", person(["admin"]), "audit:list", ["auditor"], true],
  ["access is not auditor", person(["access"]), "audit:list", ["auditor"], false],
  ["admin is no node", person(["admin"]), "heartbeat:create", ["node"], false],
  ["admin and nodes", person(["admin"]), "node:read", ["node", "auditor"], true],
  ["a node, for nodes", agent("node"), "heartbeat:create", ["node"], true],
  ["a proxy, for nodes", agent("proxy"), "heartbeat:create", ["node"], false],
  ["an agent, for sessions", agent("node"), "user:list", ["session"], false],
  ["an agent, for admin", agent("auth"), "user:create", [], false],
  ["nobody", { kind: "anonymous" }, "user:list", ["session"], false],
  ["a one-time password allows its change", person(["admin"], true), "password:update", ["session"], true],
  ["a one-time password allows nothing else", person(["admin"], true), "user:list", ["session"], false],
];

for (const [what, caller, permission, holders, allowed] of CASES) {
  test(`${what}: ${allowed ? "allowed" : "refused"}`, () =>
    assert.equal(new RoleAuthorizer().refusal(caller, permission, holders) === null, allowed));
}
