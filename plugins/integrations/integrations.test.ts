import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { INTEGRATION, type Integration, parametersProblem } from "../../core/ports/integration.js";
import { IntegrationServiceService } from "../../proto/gen/mezite/integrations/v1/integrations.js";
import { RecordedIam } from "../../test/fakes/recorded-iam.js";
import { entryOf, manifestOf } from "../../test/fixtures/plugins.js";
import { startTestCluster, type TestCluster } from "../../test/kit/test-cluster.js";

const ISSUER = { plugins: { "spiffe-bundle": { config: { jwt_issuer: "https://mezite.example.com" } } } };
const AWS = ["--account=123456789012", "--spiffe-id=spiffe://test/*", "--role-name=Workloads"];
const VARIABLES = {
  AWS_ACCESS_KEY_ID: "AKTEST",
  AWS_SECRET_ACCESS_KEY: "SKTEST",
  AWS_MAX_ATTEMPTS: "1",
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
};

/** An integration of somebody else. */
const acme: Integration = {
  summary: "Acme believes us",
  parameters: {
    type: "object",
    additionalProperties: false,
    required: ["project"],
    properties: {
      project: { type: "string", description: "A project", maxLength: 10 },
      zone: { type: "string", description: "Where it is", enum: ["a", "b"], default: "a" },
    },
  },
  async plan({ parameters, cluster }) {
    const words = ["acme", "trust", cluster.trustDomain, parameters["project"] ?? "", parameters["zone"] ?? ""];
    return { steps: [{ name: "trust", summary: "Trust", documents: [], commands: [words] }], target: {} };
  },
};

const liar = {
  ...acme,
  plan: async () => ({ steps: [{ name: "x", summary: "a\nrm -rf /", documents: [], commands: [] }], target: {} }),
};

const plugins = entryOf(
  manifestOf("integration.acme", {
    runsIn: ["auth"],
    implements: [
      { port: "integration", name: "acme" },
      { port: "integration", name: "liar" },
    ],
  }),
  definePlugin({
    register(host) {
      host.implement(INTEGRATION, "acme", () => acme);
      host.implement(INTEGRATION, "liar", () => liar);
    },
  }),
);

let cluster: TestCluster;
before(async () => {
  cluster = await startTestCluster({ plugins: [plugins], config: ISSUER });
});
after(() => cluster?.stop());

const configure = (...args: readonly string[]) => cluster.mezctl(["integrations", "configure", "aws-oidc", ...args]);
const audited = () => cluster.audits.filter(({ type }) => type.startsWith("integration."));

test("lists the kinds with their parameters", async () => {
  const { stdout } = await cluster.mezctl(["integrations", "ls", "--format=json"]);
  const kinds = JSON.parse(stdout) as { kind: string; parameters: { name: string; required: boolean; default: string }[] }[];
  assert.deepEqual(
    kinds.map(({ kind }) => kind),
    ["acme", "aws-oidc", "liar"],
  );
  assert.deepEqual(
    kinds[0]?.parameters.map(({ name, required, default: value }) => [name, required, value]),
    [
      ["project", true, ""],
      ["zone", false, "a"],
    ],
  );
});

test("prints commands and trust policy, says so in the audit log, and changes nothing", async () => {
  const { code, stdout, stderr } = await configure(...AWS);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^aws iam create-open-id-connect-provider --url https:\/\/mezite\.example\.com --client-id-list sts/m);
  assert.match(stdout, /"mezite\.example\.com:sub": "spiffe:\/\/test\/\*"/);
  assert.match(stdout, /^aws iam create-role --role-name Workloads .*--assume-role-policy-document file:\/\/mezite-trust/m);
  const event = audited().at(-1);
  assert.deepEqual([event?.type, event?.resourceName, event?.userName], ["integration.planned", "aws-oidc", "admin"]);
  const parameters = { account: "123456789012", spiffe_id: "spiffe://test/*", role_name: "Workloads" };
  assert.deepEqual(event?.metadata, { parameters, mode: "script" });
  const json = await configure(...AWS, "--format=json");
  const [, role] = JSON.parse(json.stdout) as { documents: { name: string }[]; commands: string[] }[];
  assert.equal(role?.documents[0]?.name, "mezite-trust-policy.json");
  assert.match(role?.commands[0] ?? "", /^aws iam create-role /);
});

test("in live mode makes what is missing with the credentials of this machine, and reports it", async (t) => {
  const iam = await awsOf(t);
  const shown = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await configure("--aws-region=eu-central-1", ...AWS, ...args, "--format=json");
    assert.equal(code, 0, stderr);
    return (JSON.parse(stdout) as { result: string }[]).map(({ result }) => result);
  };
  assert.deepEqual(await shown(), ["made", "made"]);
  assert.deepEqual(await shown(), ["kept", "kept"]);
  assert.deepEqual(iam.changes, ["CreateOpenIDConnectProvider", "CreateRole"]);
  const [planned, configured] = audited().slice(-2);
  assert.deepEqual([planned?.type, planned?.metadata?.["mode"]], ["integration.planned", "live"]);
  assert.deepEqual([configured?.type, configured?.success], ["integration.configured", true]);
  const outcomes = configured?.metadata?.["outcomes"] as { step: string; result: string; subject: string }[];
  assert.deepEqual(outcomes[1], { step: "role", result: "kept", subject: "arn:aws:iam::123456789012:role/Workloads" });
});

test("in live mode that fails half-way shows and reports what was done", async (t) => {
  const iam = await awsOf(t);
  iam.denied.add("GetRole");
  const { code, stdout, stderr } = await configure("--aws-region=eu-central-1", ...AWS);
  assert.notEqual(code, 0);
  assert.match(stdout, /identity-provider +made +arn:aws:iam::123456789012/);
  assert.match(stderr, /does not let these credentials do iam:GetRole/);
  const event = audited().at(-1);
  assert.deepEqual([event?.type, event?.success], ["integration.configured", false]);
  assert.match(event?.errorMessage ?? "", /iam:GetRole/);
});

test("a profile that is not there is not replaced by other credentials", async (t) => {
  const iam = await awsOf(t);
  const { code, stderr } = await configure("--aws-profile=nobody", "--aws-region=eu-central-1", ...AWS);
  assert.notEqual(code, 0);
  assert.match(stderr, /no AWS credentials that work/);
  assert.deepEqual(iam.changes, []);
});

test("plans an integration of another plugin, with its defaults", async () => {
  const plan = (...set: readonly string[]) =>
    cluster.mezctl(["integrations", "plan", "acme", ...set.map((each) => `--set=${each}`)]);
  assert.match((await plan("project=it's")).stdout, /^acme trust test 'it'\\''s' a$/m);
  assert.match((await plan("project=a=b", "zone=b")).stdout, /^acme trust test a=b b$/m);
  for (const [set, message] of [
    [[], /acme: key "project" is missing/],
    [["project=far-too-long"], /acme: project is too long; at most 10/],
    [["project=a", "zone=c"], /zone is "c"; did you mean "a"\?/],
    [["project=a", "projekt=b"], /unknown key "projekt"; did you mean "project"\?/],
    [["project=a", "project=b"], /gives project twice/],
    [["project"], /is not <parameter>=<value>/],
  ] as const) {
    const { code, stderr } = await plan(...set);
    assert.notEqual(code, 0);
    assert.match(stderr, message);
  }
});

test("passes on no plan that is none, and knows no other kinds", async () => {
  const plan = (kind: string) => cluster.mezctl(["integrations", "plan", kind, "--set=project=a"]);
  const lied = await plan("liar");
  assert.notEqual(lied.code, 0);
  assert.equal(lied.stdout, "");
  assert.match((await plan("nope")).stderr, /has no integration "nope"; it has acme, aws-oidc, liar/);
});

test("follows integrations that are switched off and on beside it", async () => {
  await cluster.plugins.disable("integration.aws-oidc");
  const { code, stderr } = await configure(...AWS);
  assert.notEqual(code, 0);
  assert.match(stderr, /has no integration "aws-oidc"; it has acme, liar/);
  await cluster.plugins.enable("integration.aws-oidc");
  assert.equal((await configure(...AWS)).code, 0);
});

test("is for administrators; auditors may list", async () => {
  const user = cluster.rpc(IntegrationServiceService, { user: "eve" });
  const auditor = cluster.rpc(IntegrationServiceService, { user: "olga", roles: ["auditor"] });
  const denied = (error: unknown) => isMezError(error, "ACCESS_DENIED");
  await auditor.listIntegrations({});
  for (const client of [user, auditor]) {
    await assert.rejects(client.planIntegration({ kind: "acme", parameters: { project: "a" }, live: false }), denied);
    await assert.rejects(client.reportIntegration({ kind: "acme", parameters: {}, outcomes: [] }), denied);
  }
  await assert.rejects(user.listIntegrations({}), denied);
});

test("takes no report that is none", async () => {
  const client = cluster.rpc(IntegrationServiceService);
  const outcome = { step: "a", result: "kept", subject: "b" };
  for (const outcomes of [[], [{ ...outcome, result: "perhaps" }], Array(51).fill(outcome) as (typeof outcome)[]])
    await assert.rejects(client.reportIntegration({ kind: "acme", parameters: { project: "a" }, outcomes }), (error) =>
      isMezError(error, "INVALID_ARGUMENT"),
    );
});

for (const [what, declared] of [
  ["an open object", { type: "object", properties: {} }],
  ["a pattern", { ...acme.parameters, properties: { a: { type: "string", description: "b", pattern: "(a+)+$" } } }],
  ["a number", { ...acme.parameters, required: [], properties: { a: { type: "integer", description: "b" } } }],
  ["no description", { ...acme.parameters, required: [], properties: { a: { type: "string" } } }],
  ["a name that is none", { ...acme.parameters, required: [], properties: { "--x": { type: "string", description: "b" } } }],
  ["a reference", { ...acme.parameters, $ref: "#" }],
  ["something missing as required", { ...acme.parameters, required: ["other"] }],
  ["nothing", null],
] as const) {
  test(`parameters with ${what} are none`, () => assert.notEqual(parametersProblem(declared), null));
}

test("asks for an issuer first", async () => {
  await cluster.configure({});
  const { code, stderr } = await configure(...AWS);
  assert.notEqual(code, 0);
  assert.match(stderr, /set jwt_issuer of the plugin spiffe-bundle/);
});

// --- internal ---

/** An account of AWS that the AWS client finds by its variables. */
async function awsOf(t: TestContext): Promise<RecordedIam> {
  const iam = await RecordedIam.start("123456789012");
  const wanted = { ...VARIABLES, AWS_ENDPOINT_URL_IAM: iam.endpoint };
  const before = Object.keys(wanted).map((name) => [name, process.env[name]] as const);
  const set = (entries: readonly (readonly [string, string | undefined])[]) => {
    for (const [name, value] of entries) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  set(Object.entries(wanted));
  t.after(async () => {
    set(before);
    await iam.close();
  });
  return iam;
}
