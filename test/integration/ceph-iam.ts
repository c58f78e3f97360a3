import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { GetRoleCommand, IAMClient, PutRolePolicyCommand, UpdateAssumeRolePolicyCommand } from "@aws-sdk/client-iam";
import { ListBucketsCommand, S3Client } from "@aws-sdk/client-s3";
import * as x509 from "@peculiar/x509";
import { isMezError } from "../../core/errors/error.js";
import type { SpiffeBundle } from "../../plugins/ca/api.js";
import { AwsOidcIntegration } from "../../plugins/integration/aws-oidc/aws-oidc-integration.js";
import { AWS_AUDIENCE, type Federation } from "../../plugins/integration/aws-oidc/federation.js";
import { convergeIam, type IamOutcome } from "../../plugins/integration/aws-oidc/iam-convergence.js";
import { planScript } from "../../plugins/integrations/plan-script.js";
import { testSvidIssuer } from "../fixtures/svid-issuer.js";
import type { RadosGateway } from "../peers/radosgw.js";
import { requirePeer } from "../peers/require-peer.js";

const ISSUER = "https://mezite.example.com";
const THUMBPRINT = "0123456789abcdef0123456789abcdef01234567";

/** The gateway's IAM and STS: calls, a trust policy and a trade that were not made by us. A tenant stands for an account. */
export function testIam(gateway: () => RadosGateway): void {
  test("provider and role for AWS are made once, and brought up to date", async (t) => {
    const { converge, iam } = await accountOf(t, gateway(), "100000000001");
    assert.deepEqual(await converge(), ["made", "made"]);
    assert.deepEqual(await converge(), ["kept", "kept"]);
    const change = { spiffeId: "spiffe://prod.example.com/payments" };
    assert.deepEqual(await converge(change), ["kept", "changed"]);
    assert.deepEqual(await converge(change), ["kept", "kept"]);
    const { Role: role } = await iam.send(new GetRoleCommand({ RoleName: "Workloads" }));
    assert.match(role?.AssumeRolePolicyDocument ?? "", /prod\.example\.com\/payments"/);
    const PolicyDocument = JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: ["arn:aws:iam::100000000001:user/iam"] }, Action: ["sts:AssumeRole"] }],
    });
    await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: "Workloads", PolicyDocument }));
    await assert.rejects(converge(), (error) => isMezError(error, "CONFLICT") && /trusts somebody else/.test(error.message));
    await assert.rejects(converge({ account: "100000000009" }), (error) => isMezError(error, "CONFLICT"));
  });

  test("the aws CLI runs the printed script, and live mode finds nothing left to do", async (t) => {
    const { converge, keys, federation } = await accountOf(t, gateway(), "100000000002");
    const folder = mkdtempSync(join(tmpdir(), "mezite-aws-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const integration = new AwsOidcIntegration({ partition: "aws", thumbprints: [THUMBPRINT] });
    const plan = await integration.plan({
      parameters: { account: federation.account, spiffe_id: federation.spiffeId, role_name: federation.roleName },
      cluster: { name: "prod", trustDomain: "prod.example.com", issuer: ISSUER },
    });
    // This gateway does not take a plus for a space, as forms are encoded (and AWS reads them): the policy goes without spaces.
    const compact = `[ ! -f mezite-trust-policy.json ] || { tr -d ' \\n' < mezite-trust-policy.json > p && mv p mezite-trust-policy.json; }`;
    const program = `#!/bin/sh\n${compact}\nexec ${requirePeer("aws")} --endpoint-url ${gateway().settings.endpoint} "$@"\n`;
    writeFileSync(join(folder, "aws"), program);
    chmodSync(join(folder, "aws"), 0o755);
    const env = {
      ...{ PATH: `${folder}:${process.env["PATH"]}`, HOME: folder, AWS_DEFAULT_REGION: "us-east-1", AWS_PAGER: "" },
      ...{ AWS_ACCESS_KEY_ID: keys.accessKeyId, AWS_SECRET_ACCESS_KEY: keys.secretAccessKey },
    };
    const running = promisify(execFile)("sh", ["-eu"], { cwd: folder, env, timeout: 120_000 });
    running.child.stdin?.end(planScript("aws-oidc", plan));
    const { stdout } = await running;
    assert.match(stdout, /arn:aws:iam::100000000002:oidc-provider\/mezite\.example\.com/);
    assert.match(stdout, /arn:aws:iam::100000000002:role\/Workloads/);
    assert.deepEqual(await converge(), ["kept", "kept"]);
  });

  test("a JWT-SVID is traded for credentials that open the store", async (t) => {
    const svids = await testSvidIssuer(t);
    const provider = await keysAt(t, svids.bundle().spiffe);
    const { converge, iam } = await accountOf(t, gateway(), "100000000003");
    const own = { issuer: provider.issuer, thumbprints: [provider.thumbprint], spiffeId: "spiffe://prod.example.com/ns/prod/*" };
    assert.deepEqual(await converge(own), ["made", "made"]);
    const buckets = {
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action: ["s3:*"], Resource: ["arn:aws:s3:::*"] }],
    };
    const rights = { RoleName: "Workloads", PolicyName: "buckets", PolicyDocument: JSON.stringify(buckets) };
    await iam.send(new PutRolePolicyCommand(rights));
    const endpoint = await gateway().startTokenGateway();
    const good = { spiffeId: "spiffe://prod.example.com/ns/prod/payments", audiences: [AWS_AUDIENCE], issuer: provider.issuer };
    const shown = async (svid: Partial<typeof good> = {}, from = svids) =>
      listed(t, endpoint, (await from.issueJwtSvid({ ...good, ...svid, ttlSeconds: 60 })).token);
    assert.deepEqual(await shown(), []);
    await assert.rejects(shown({ spiffeId: "spiffe://prod.example.com/ns/staging/payments" }), /^Error: AccessDenied$/);
    await assert.rejects(shown({ audiences: ["payments-db"] }), /^Error: AccessDenied$/);
    await assert.rejects(shown({}, await testSvidIssuer(t)), /^Error: AccessDenied$/);
  });
}

// --- internal ---

async function accountOf(t: TestContext, gateway: RadosGateway, account: string) {
  const keys = await gateway.makeAccount(account);
  const iam = new IAMClient({ endpoint: String(gateway.settings.endpoint), region: "us-east-1", credentials: keys });
  t.after(() => iam.destroy());
  const federation: Federation = {
    ...{ partition: "aws", account, issuer: ISSUER, audience: AWS_AUDIENCE, thumbprints: [THUMBPRINT] },
    ...{ roleName: "Workloads", spiffeId: "spiffe://prod.example.com/*" },
  };
  const converge = async (change: Partial<Federation> = {}) => {
    const told: IamOutcome[] = [];
    const tell = (outcome: IamOutcome) => void told.push(outcome);
    await convergeIam(iam, { ...federation, ...change }, tell, AbortSignal.timeout(20_000));
    return told.map(({ result }) => result);
  };
  return { converge, iam, keys, federation };
}

/**
 * Serves the keys of the cluster as its proxies do, with one thing more that this gateway asks for: each in a certificate (`x5c`,
 * RFC 7517, 4.7), by whose thumbprint it knows the provider.
 */
async function keysAt(t: TestContext, { jwksJson, jwtAuthorities }: SpiffeBundle) {
  const [authority] = jwtAuthorities;
  const certificate = await certificateOf(Buffer.from(authority?.publicKey ?? "", "base64"));
  const x5c = [Buffer.from(certificate.rawData).toString("base64")];
  const { keys } = JSON.parse(jwksJson) as { keys: object[] };
  const server = createServer(({ url }, response) => {
    const isKeySet = url === "/.well-known/jwks.json";
    const body = isKeySet
      ? { keys: keys.map((key) => ({ ...key, x5c })) }
      : { issuer, jwks_uri: `${issuer}/.well-known/jwks.json` };
    response.setHeader("content-type", "application/json").end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { issuer, thumbprint: createHash("sha1").update(Buffer.from(certificate.rawData)).digest("hex") };
}

async function certificateOf(publicKeyDer: Buffer): Promise<x509.X509Certificate> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const signing = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const publicKey = await crypto.subtle.importKey("spki", new Uint8Array(publicKeyDer), algorithm, true, ["verify"]);
  return x509.X509CertificateGenerator.create({
    ...{ serialNumber: "01", subject: "CN=key", issuer: "CN=keys", publicKey, signingKey: signing.privateKey },
    ...{ signingAlgorithm: algorithm, notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) },
  });
}

/** Names of the buckets that whoever has this token may list: STS and S3 as any SDK of AWS calls them. */
async function listed(t: TestContext, endpoint: string, token: string): Promise<readonly (string | undefined)[]> {
  const credentials = async () => {
    const body = new URLSearchParams({
      ...{ Action: "AssumeRoleWithWebIdentity", Version: "2011-06-15", RoleArn: "arn:aws:iam::100000000003:role/Workloads" },
      ...{ RoleSessionName: "payments", WebIdentityToken: token },
    });
    const answer = await (await fetch(endpoint, { method: "POST", body })).text();
    const value = (name: string) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(answer)?.[1];
    if (value("AccessKeyId") === undefined) throw new Error(value("Code") ?? answer);
    return {
      ...{ accessKeyId: value("AccessKeyId") ?? "", secretAccessKey: value("SecretAccessKey") ?? "" },
      sessionToken: value("SessionToken") ?? "",
    };
  };
  const s3 = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
  t.after(() => s3.destroy());
  const { Buckets: buckets = [] } = await s3.send(new ListBucketsCommand({}));
  return buckets.map(({ Name }) => Name);
}
