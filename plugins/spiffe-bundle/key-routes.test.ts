import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { FakeKeyBackend } from "../../test/fakes/key-backend.js";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { WebBed } from "../../test/fixtures/web-bed.js";
import { needsPeers, requirePeer } from "../../test/peers/require-peer.js";
import type { SpiffeBundle } from "../ca/api.js";
import { AuthorityEntity, AuthorityKeyEntity } from "../ca/authority-repository.js";
import { createMissingAuthorities } from "../ca/authority-setup.js";
import { KeyBackedAuthorities } from "../ca/certificate-authorities.js";
import { CreateCertificateAuthorities } from "../ca/migrations/20260101000000-certificate-authorities.js";
import { SvidIssuer } from "../ca/svid-issuer.js";
import { KEY_ROUTES, keyHandlers } from "./key-routes.js";

const clock = { now: () => new Date() };
const PATHS = {
  bundle: "/v1/webapi/spiffe/bundle",
  discovery: "/.well-known/openid-configuration",
  keySet: "/.well-known/jwks.json",
};

/** Fetches the discovery document and the keys as a relying party does, and verifies a token with them. */
const RELYING_PARTY = `
import json, sys, urllib.request, jwt
issuer, token = sys.argv[1], sys.stdin.read()
found = json.load(urllib.request.urlopen(issuer + "/.well-known/openid-configuration"))
key = jwt.PyJWKClient(found["jwks_uri"]).get_signing_key_from_jwt(token).key
claims = jwt.decode(token, key, algorithms=found["id_token_signing_alg_values_supported"], audience="db", issuer=found["issuer"])
print(json.dumps(claims))
`;

test(
  "a relying party finds the keys by the issuer and verifies a JWT-SVID",
  needsPeers("python3", "python3-jwt", "python3-cryptography"),
  async (t) => {
    const svids = await issuer(t);
    const bed = await WebBed.open(t, { routes: routesOf({ bundle: () => svids.bundle().spiffe, issuer: () => bed.origin }) });
    const folder = mkdtempSync(join(tmpdir(), "mezite-issuer-"));
    t.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "ca.pem"), bed.authority.certificatePem);
    const order = { spiffeId: "spiffe://prod.example.com/payments", audiences: ["db"], ttlSeconds: 60 };
    const { token } = await svids.issueJwtSvid({ ...order, issuer: bed.origin });
    const env = { SSL_CERT_FILE: join(folder, "ca.pem") };
    const running = promisify(execFile)(requirePeer("python3"), ["-c", RELYING_PARTY, bed.origin], { env });
    running.child.stdin?.end(token);
    const claims = JSON.parse((await running).stdout) as Record<string, unknown>;
    assert.deepEqual([claims.sub, claims.iss, claims.aud], [order.spiffeId, bed.origin, ["db"]]);
  },
);

test("publishes the bundle that holds now, and lets it be kept for a minute", async (t) => {
  let sequence = 1;
  const bundle = () => bundleOf(sequence);
  const bed = await WebBed.open(t, { routes: routesOf({ bundle, issuer: () => null }) });
  const first = await bed.ask(PATHS.bundle);
  assert.deepEqual([first.status, first.body], [200, '{"sequence":1}']);
  assert.equal(first.headers["content-type"], "application/json; charset=utf-8");
  assert.equal(first.headers["cache-control"], "public, max-age=60");
  const ifNoneMatch = { "if-none-match": String(first.headers.etag) };
  assert.equal((await bed.ask(PATHS.bundle, { headers: ifNoneMatch })).status, 304);
  sequence = 2;
  assert.equal((await bed.ask(PATHS.bundle, { headers: ifNoneMatch })).body, '{"sequence":2}');
  assert.equal((await bed.ask(PATHS.keySet)).body, '{"keys":[2]}');
});

test("says that there is nothing yet, and that there is no issuer", async (t) => {
  const bed = await WebBed.open(t, { routes: routesOf({ bundle: () => null, issuer: () => null }) });
  assert.equal((await bed.ask(PATHS.bundle)).status, 503);
  assert.equal((await bed.ask(PATHS.keySet)).status, 503);
  const { status, body } = await bed.ask(PATHS.discovery);
  assert.equal(status, 404);
  assert.match(body, /set jwt_issuer of the plugin spiffe-bundle/);
});

// --- internal ---

function routesOf(published: Parameters<typeof keyHandlers>[0]) {
  const handlers = keyHandlers(published);
  return (["bundle", "discovery", "keySet"] as const).map((name) => ({ route: KEY_ROUTES[name], handler: handlers[name] }));
}

function bundleOf(sequence: number): SpiffeBundle {
  const json = { bundleJson: JSON.stringify({ sequence }), jwksJson: JSON.stringify({ keys: [sequence] }) };
  return { ...json, trustDomain: "prod", sequence, refreshHintSeconds: 300, jwtAuthorities: [] };
}

/** Authorities of a cluster, without the rest of it. */
async function issuer(t: TestContext): Promise<SvidIssuer> {
  const { database, close } = await openTestDatabase({
    entities: [AuthorityEntity, AuthorityKeyEntity],
    migrations: [{ name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities }],
  });
  t.after(close);
  const backend = new FakeKeyBackend();
  const common = { database, clock, clusterName: "prod" };
  await createMissingAuthorities({ ...common, backend, backendName: "fake", trustDomain: "prod.example.com" });
  const authorities = new KeyBackedAuthorities({ ...common, backendOf: () => backend, logger: silentLogger, onIssued: () => {} });
  await authorities.load();
  return new SvidIssuer({ authorities, clock, clusterName: "prod" });
}
