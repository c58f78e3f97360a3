import assert from "node:assert/strict";
import { isAbsolute } from "node:path";
import { test } from "node:test";
import { needsPeers, type PeerName, requirePeer } from "./require-peer.js";

test("finds a peer that is installed", needsPeers("git"), () => {
  assert.ok(isAbsolute(requirePeer("git")));
});

test("skips with the reason that npm test gave, and in CI does not", () => {
  const before = { CI: process.env.CI, PATH: process.env.PATH, MEZITE_MISSING_PEERS: process.env.MEZITE_MISSING_PEERS };
  const name: PeerName = "asciinema";
  try {
    Object.assign(process.env, { CI: "", PATH: "", MEZITE_MISSING_PEERS: JSON.stringify({ asciinema: "no network" }) });
    assert.deepEqual(needsPeers(name), { skip: "no network" });
    assert.throws(() => requirePeer(name), /no network/);
    process.env.CI = "true";
    assert.deepEqual(needsPeers(name), { skip: false });
  } finally {
    for (const [key, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
  }
});
