import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { IAMClient } from "@aws-sdk/client-iam";
import { isMezError } from "../../../core/errors/error.js";
import { RecordedIam } from "../../../test/fakes/recorded-iam.js";
import { type Federation, trustPolicy } from "./federation.js";
import { convergeIam, type IamOutcome } from "./iam-convergence.js";

const FEDERATION: Federation = {
  partition: "aws",
  account: "123456789012",
  issuer: "https://mezite.example.com",
  audience: "sts.amazonaws.com",
  thumbprints: [],
  roleName: "MeziteWorkloadRole",
  spiffeId: "spiffe://prod.example.com/*",
};
const PROVIDER = "arn:aws:iam::123456789012:oidc-provider/mezite.example.com";

test("makes provider and role, and a second time nothing", async (t) => {
  const { iam, converge } = await account(t);
  assert.deepEqual(await converge(), [
    { step: "identity-provider", result: "made", subject: PROVIDER },
    { step: "role", result: "made", subject: "arn:aws:iam::123456789012:role/MeziteWorkloadRole" },
  ]);
  assert.deepEqual(iam.providers.get(PROVIDER), { audiences: ["sts.amazonaws.com"], thumbprints: [] });
  assert.deepEqual(JSON.parse(iam.roles.get("MeziteWorkloadRole") ?? ""), trustPolicy(FEDERATION));
  assert.deepEqual(results(await converge()), ["kept", "kept"]);
  assert.deepEqual(iam.changes, ["CreateOpenIDConnectProvider", "CreateRole"]);
});

test("brings up to date what has changed, and leaves audiences of others", async (t) => {
  const { iam, converge } = await account(t);
  await converge();
  iam.providers.set(PROVIDER, { audiences: ["other"], thumbprints: [] });
  const change = { thumbprints: ["0123456789abcdef0123456789abcdef01234567"], spiffeId: "spiffe://prod.example.com/payments" };
  assert.deepEqual(
    (await converge(change)).map(({ subject }) => subject.replace(/^arn:\S+: /, "")),
    ["audience sts.amazonaws.com, thumbprints", "trust policy"],
  );
  assert.deepEqual(iam.providers.get(PROVIDER), { audiences: ["other", "sts.amazonaws.com"], thumbprints: change.thumbprints });
  assert.match(iam.roles.get("MeziteWorkloadRole") ?? "", /prod\.example\.com\/payments"/);
  assert.deepEqual(results(await converge(change)), ["kept", "kept"]);
});

test("takes a policy for the same that says the same in another form", async (t) => {
  const { iam, converge } = await account(t);
  await converge();
  const [statement] = (trustPolicy(FEDERATION) as { Statement: [{ Principal: { Federated: string }; Action: string }] })
    .Statement;
  const other = { Statement: { ...statement, Action: [statement.Action] }, Version: "2012-10-17" };
  iam.roles.set("MeziteWorkloadRole", JSON.stringify(other, null, 4));
  assert.deepEqual(results(await converge()), ["kept", "kept"]);
});

for (const [what, policy] of [
  [
    "that trusts a service",
    { Statement: [{ Effect: "Allow", Principal: { Service: "ec2.amazonaws.com" }, Action: "sts:AssumeRole" }] },
  ],
  ["that trusts everybody", { Statement: [{ Effect: "Allow", Principal: "*", Action: "sts:AssumeRole" }] }],
  [
    "with a statement of ours and one for somebody else",
    { Statement: [{ Principal: { Federated: PROVIDER } }, { Principal: { AWS: "arn:aws:iam::123456789012:root" } }] },
  ],
  ["that trusts ours and another provider", { Statement: [{ Principal: { Federated: [PROVIDER, `${PROVIDER}.org`] } }] }],
  ["without statements", { Statement: [] }],
] as const) {
  test(`does not touch a role ${what}`, async (t) => {
    const { iam, converge } = await account(t);
    const held = JSON.stringify(policy);
    iam.roles.set("MeziteWorkloadRole", held);
    await assert.rejects(converge(), (error) => isMezError(error, "CONFLICT") && /trusts somebody else/.test(error.message));
    assert.equal(iam.roles.get("MeziteWorkloadRole"), held);
    assert.deepEqual(iam.changes, ["CreateOpenIDConnectProvider"]);
  });
}

test("with credentials of another account leaves nothing behind", async (t) => {
  const { iam, converge } = await account(t, "999999999999");
  await assert.rejects(converge(), (error) => {
    assert.ok(isMezError(error, "CONFLICT"), String(error));
    assert.equal(
      error.message,
      "these AWS credentials are of account 999999999999, and --account is 123456789012; nothing was changed",
    );
    return true;
  });
  assert.deepEqual([iam.providers.size, iam.roles.size], [0, 0]);
});

for (const [action, done, message] of [
  ["GetOpenIDConnectProvider", [], /iam:GetOpenIDConnectProvider.*are these credentials of account 123456789012\?$/],
  ["CreateRole", ["made"], /^AWS does not let these credentials do iam:CreateRole: User is not authorized/],
] as const) {
  test(`says what is denied when it is ${action}, and what was done before`, async (t) => {
    const { iam, converge, told } = await account(t);
    iam.denied.add(action);
    await assert.rejects(converge(), (error) => isMezError(error, "ACCESS_DENIED") && message.test(error.message));
    assert.deepEqual(results(told), done);
  });
}

test("says when AWS cannot be reached", async (t) => {
  const { iam, converge } = await account(t);
  await iam.close();
  await assert.rejects(converge(), (error) => isMezError(error, "UNAVAILABLE"));
});

// --- internal ---

async function account(t: TestContext, number = "123456789012") {
  const iam = await RecordedIam.start(number);
  const client = new IAMClient({
    ...{ endpoint: iam.endpoint, region: "us-east-1", maxAttempts: 1 },
    credentials: { accessKeyId: "AKTEST", secretAccessKey: "SKTEST" },
  });
  t.after(async () => {
    client.destroy();
    await iam.close().catch(() => {});
  });
  const told: IamOutcome[] = [];
  const converge = async (change: Partial<Federation> = {}): Promise<readonly IamOutcome[]> => {
    told.length = 0;
    await convergeIam(client, { ...FEDERATION, ...change }, (outcome) => told.push(outcome), AbortSignal.timeout(60_000));
    return [...told];
  };
  return { iam, converge, told };
}

function results(outcomes: readonly IamOutcome[]): readonly string[] {
  return outcomes.map(({ result }) => result);
}
