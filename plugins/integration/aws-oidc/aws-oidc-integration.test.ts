import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { testIntegration } from "../../../test/contracts/integration.js";
import { AwsOidcIntegration } from "./aws-oidc-integration.js";
import { parseTarget } from "./federation-target.js";

const GOOD = {
  parameters: { account: "123456789012", spiffe_id: "spiffe://prod.example.com/*", role_name: "MeziteWorkloadRole" },
  cluster: { name: "prod", trustDomain: "prod.example.com", issuer: "https://mezite.example.com" },
};
const integration = new AwsOidcIntegration({ partition: "aws", thumbprints: [] });

testIntegration("aws-oidc", async () => ({ integration, good: GOOD, close: async () => {} }));

test("lets the programs of a pattern take the role, with tokens for AWS alone", async () => {
  const { steps, target } = await integration.plan(GOOD);
  const [provider, role] = steps;
  assert.deepEqual(provider?.commands, [
    [
      ...["aws", "iam", "create-open-id-connect-provider", "--url", "https://mezite.example.com"],
      ...["--client-id-list", "sts.amazonaws.com"],
    ],
  ]);
  assert.deepEqual(JSON.parse(role?.documents[0]?.text ?? ""), {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { Federated: "arn:aws:iam::123456789012:oidc-provider/mezite.example.com" },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: {
          StringEquals: { "mezite.example.com:aud": "sts.amazonaws.com" },
          StringLike: { "mezite.example.com:sub": "spiffe://prod.example.com/*" },
        },
      },
    ],
  });
  const { partition, issuer, audience, thumbprints } = parseTarget(JSON.stringify(target));
  assert.deepEqual(
    { partition, issuer, audience, thumbprints },
    { partition: "aws", issuer: "https://mezite.example.com", audience: "sts.amazonaws.com", thumbprints: [] },
  );
});

test("compares a SPIFFE ID without a star as a whole, in the partition of the configuration", async () => {
  const thumbprints = ["0123456789abcdef0123456789abcdef01234567"];
  const china = new AwsOidcIntegration({ partition: "aws-cn", thumbprints });
  const parameters = { ...GOOD.parameters, spiffe_id: "spiffe://prod.example.com/payments" };
  const { steps } = await china.plan({ ...GOOD, parameters });
  const policy = steps[1]?.documents[0]?.text ?? "";
  assert.match(policy, /"mezite\.example\.com:sub": "spiffe:\/\/prod\.example\.com\/payments"/);
  assert.doesNotMatch(policy, /StringLike/);
  assert.match(policy, /arn:aws-cn:iam::123456789012/);
  assert.deepEqual(steps[0]?.commands[0]?.slice(-2), ["--thumbprint-list", ...thumbprints]);
});

for (const [parameter, value, message] of [
  ["account", "12345678901", /has 12 digits/],
  ["account", "1234-5678-9012", /has 12 digits/],
  ["spiffe_id", "spiffe://other.example.com/*", /begins with spiffe:\/\/prod\.example\.com\//],
  ["spiffe_id", "spiffe://*", /begins with/],
  ["spiffe_id", "*", /begins with/],
  ["spiffe_id", "spiffe://prod.example.com*/x", /begins with/],
  ["spiffe_id", "spiffe://prod.example.com/", /write it like/],
  ["spiffe_id", "spiffe://prod.example.com/a//b", /write it like/],
  ["spiffe_id", "spiffe://prod.example.com/../b", /write it like/],
  ["spiffe_id", "spiffe://prod.example.com/a?", /write it like/],
  ["spiffe_id", `spiffe://prod.example.com/\${aws:username}`, /write it like/],
  ["role_name", "a/b", /no name of a role/],
  ["role_name", "x".repeat(65), /no name of a role/],
] as const) {
  test(`refuses ${parameter} ${value.slice(0, 40)}`, async () => {
    const plan = integration.plan({ ...GOOD, parameters: { ...GOOD.parameters, [parameter]: value } });
    await assert.rejects(plan, (error) => isMezError(error, "INVALID_ARGUMENT") && message.test(error.message));
  });
}

for (const [issuer, message] of [
  [null, /set jwt_issuer of the plugin spiffe-bundle/],
  ["https://mezite.example.com:3080", /takes no issuer with a port/],
] as const) {
  test(`refuses a cluster whose issuer is ${issuer}`, async () => {
    const plan = integration.plan({ ...GOOD, cluster: { ...GOOD.cluster, issuer } });
    await assert.rejects(plan, (error) => isMezError(error, "CONFLICT") && message.test(error.message));
  });
}

const TARGET = { partition: "aws", issuer: "https://mezite.example.com", audience: "sts.amazonaws.com", thumbprints: [] };
for (const change of [
  { partition: "x" },
  { issuer: "http://mezite.example.com" },
  { issuer: "https://mezite.example.com/x" },
  { audience: "*" },
  { thumbprints: ["AB"] },
  { thumbprints: "x" },
]) {
  test(`mezctl refuses a server's target with ${JSON.stringify(change)}`, () => {
    assert.throws(
      () => parseTarget(JSON.stringify({ ...TARGET, ...change })),
      (error) => isMezError(error, "INVALID_DOCUMENT"),
    );
  });
}

for (const json of ["", "null", "[]", "{"]) {
  test(`mezctl refuses a server's target ${JSON.stringify(json)}`, () => {
    assert.throws(
      () => parseTarget(json),
      (error) => isMezError(error, "INVALID_DOCUMENT"),
    );
  });
}
