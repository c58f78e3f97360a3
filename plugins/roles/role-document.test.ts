import assert from "node:assert/strict";
import test from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { BUILT_IN_ROLES } from "./built-in-roles.js";
import { checkRole } from "./role-check.js";
import { parseRoleDocument, roleToDocument } from "./role-document.js";
import { fromMessage, toMessage } from "./role-message.js";

const FULL = `kind: role
version: v1
metadata: { name: example, description: "An example" }
spec:
  options:
    max_session_ttl: 1h30m
    require_session_mfa: ""
    device_trust_mode: ""
    port_forwarding: false
    file_copy: true
  allow:
    node_labels: { env: [staging, production], team: "^eng-.*$", region: "*" }
    app_labels: { env: staging }
    logins: [ubuntu, "{{internal.logins}}", "{{external.username}}"]
    request_roles: [ssh-production]
    request_resources: []
    review_roles: [ssh-production]
  deny: { node_labels: { sensitivity: restricted }, logins: [root] }
`;

/** A role with `lines` in place of the whole spec. */
const withSpec = (...lines: readonly string[]): string =>
  `kind: role\nversion: v1\nmetadata: { name: dev }\nspec:\n${lines.map((line) => `  ${line}\n`).join("")}`;

test("reads every key of the schema", async () => {
  assert.deepEqual(await parseRoleDocument(FULL, "role.yaml"), {
    name: "example",
    description: "An example",
    options: { maxSessionTtlSeconds: 5400, requireSessionMfa: "", deviceTrustMode: "", portForwarding: false, fileCopy: true },
    allow: {
      nodeLabels: { env: ["staging", "production"], team: ["^eng-.*$"], region: ["*"] },
      appLabels: { env: ["staging"] },
      logins: ["ubuntu", "{{internal.logins}}", "{{external.username}}"],
      requestRoles: ["ssh-production"],
      requestResources: [],
      reviewRoles: ["ssh-production"],
    },
    deny: {
      nodeLabels: { sensitivity: ["restricted"] },
      appLabels: {},
      logins: ["root"],
      requestRoles: [],
      requestResources: [],
      reviewRoles: [],
    },
  });
});

test("reads a role as the documentation of agent identities writes it, without a version", async () => {
  const role = await parseRoleDocument(FULL.replace("version: v1\n", ""), "role.yaml");
  assert.deepEqual(role, await parseRoleDocument(FULL, "role.yaml"));
  assert.equal(roleToDocument(role)["version"], "v1");
});

test("an absent option has the documented default", async () => {
  const role = await parseRoleDocument(withSpec("allow: {}"), "role.yaml");
  assert.deepEqual(role.options, {
    maxSessionTtlSeconds: null,
    requireSessionMfa: "",
    deviceTrustMode: "",
    portForwarding: true,
    fileCopy: true,
  });
});

test("what is printed reads back as the same role, and so does the wire form", async () => {
  const role = await parseRoleDocument(FULL, "role.yaml");
  assert.deepEqual(await parseRoleDocument(JSON.stringify(roleToDocument(role)), "-"), role);
  assert.deepEqual(fromMessage(toMessage(role)), role);
});

test("the built-in roles pass the checks of every role", async () => {
  for (const role of BUILT_IN_ROLES) {
    checkRole(role);
    assert.deepEqual(await parseRoleDocument(JSON.stringify(roleToDocument(role)), "-"), role);
  }
});

const REFUSED: readonly (readonly [text: string, message: string | RegExp])[] = [
  [
    FULL.replace("logins: [ubuntu", "login: [ubuntu"),
    'role.yaml:14: unknown key "login" under spec.allow; did you mean "logins"?',
  ],
  [FULL.replace("kind: role", "kind: user"), 'role.yaml:1: kind is "user"; it has to be "role"'],
  [FULL.replace("version: v1", "version: v2"), 'role.yaml:2: version is "v2"; it has to be "v1"'],
  [FULL.replace("name: example", "name: Example"), /^role\.yaml:3: metadata\.name is "Example", which is not valid; use a-z/],
  [FULL.replace("1h30m", "90 minutes"), 'role.yaml:6: duration "90 minutes" is not valid; write it like 90s, 30m, 12h or 1h30m'],
  [
    FULL.replace("1h30m", "12"),
    'role.yaml:6: spec.options.max_session_ttl has to be text, not a number; write it in quotes: "12"',
  ],
  [
    FULL.replace('require_session_mfa: ""', "require_session_mfa: totpp"),
    'role.yaml:7: spec.options.require_session_mfa is "totpp"; did you mean "totp"?',
  ],
  [
    FULL.replace("port_forwarding: false", 'port_forwarding: "no"'),
    "role.yaml:9: spec.options.port_forwarding has to be true or false, not text",
  ],
  [
    withSpec("allow:", "  node_labels:", "    env: prod", "    team: '^(a$'"),
    /^role\.yaml:8: label "team": regular expression "\^\(a\$" has a "\(" without "\)"/,
  ],
  [
    withSpec("allow:", "  node_labels:", "    team:", "      - ops", "      - '^(?=a)$'"),
    /^role\.yaml:9: label "team": .* uses look-around/,
  ],
  [
    withSpec("allow:", "  node_labels: { '*': prod }"),
    'role.yaml:6: the label "*" takes only the value "*", which means every node',
  ],
  [withSpec("allow:", "  node_labels: { env: [] }"), /^role\.yaml:6: label "env" needs 1 to/],
  [
    withSpec("allow:", "  node_labels: { env: 1 }"),
    /^role\.yaml:6: spec\.allow\.node_labels\.env has to be text or a list, not a number/,
  ],
  [withSpec("allow:", "  node_labels: { env: 'prod$' }"), /ends in \$ but does not begin with \^/],
  [withSpec("allow:", "  node_labels: { env: '{{internal.env}}' }"), /templates are for logins only/],
  [
    withSpec("allow:", "  logins:", "    - ubuntu", "    - '*'"),
    'role.yaml:8: the login "*" is for deny only; list the logins that are allowed',
  ],
  [withSpec("allow:", "  logins: ['{{other.x}}']"), /^role\.yaml:6: login "\{\{other\.x\}\}" is not valid/],
  [withSpec("allow:", "  request_resources: ['web-*']"), /patterns are not allowed here/],
  [withSpec("allow:", "  review_roles: ['a b']"), /is no role name/],
  ["kind: role\nversion: v1\nspec: {}\n", 'role.yaml:1: key "metadata" is missing'],
];

for (const [text, message] of REFUSED) {
  test(`says ${String(message).slice(0, 90)}`, async () => {
    await assert.rejects(parseRoleDocument(text, "role.yaml"), (error) => {
      assert.ok(isMezError(error, "INVALID_DOCUMENT"), String(error));
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    });
  });
}

test("deny may name every login", async () => {
  assert.deepEqual((await parseRoleDocument(withSpec("deny: { logins: ['*'] }"), "role.yaml")).deny.logins, ["*"]);
});
