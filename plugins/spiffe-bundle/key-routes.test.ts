import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RELYING_PARTY_PEERS, verifyToken } from "../../test/fixtures/relying-party.js";
import { testSvidIssuer } from "../../test/fixtures/svid-issuer.js";
import { WebBed } from "../../test/fixtures/web-bed.js";
import { needsPeers } from "../../test/peers/require-peer.js";
import type { SpiffeBundle } from "../ca/api.js";
import { KEY_ROUTES, keyHandlers } from "./key-routes.js";

const PATHS = {
  bundle: "/v1/webapi/spiffe/bundle",
  discovery: "/.well-known/openid-configuration",
  keySet: "/.well-known/jwks.json",
};

test("a relying party finds the keys by the issuer and verifies a JWT-SVID", needsPeers(...RELYING_PARTY_PEERS), async (t) => {
  const svids = await testSvidIssuer(t);
  const bed = await WebBed.open(t, { routes: routesOf({ bundle: () => svids.bundle().spiffe, issuer: () => bed.origin }) });
  const folder = mkdtempSync(join(tmpdir(), "mezite-issuer-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, bed.authority.certificatePem);
  const order = { spiffeId: "spiffe://prod.example.com/payments", audiences: ["db"], ttlSeconds: 60 };
  const { token } = await svids.issueJwtSvid({ ...order, issuer: bed.origin });
  const claims = await verifyToken(token, bed.origin, "db", caFile);
  assert.deepEqual([claims.sub, claims.iss, claims.aud], [order.spiffeId, bed.origin, ["db"]]);
  const foreign = await svids.issueJwtSvid({ ...order, issuer: "https://other.example.com" });
  await assert.rejects(verifyToken(foreign.token, bed.origin, "db", caFile), /InvalidIssuerError/);
});

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
