import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesSelectors, needsDigest, type UnixFacts, type UnixSelectors } from "./selectors.js";

const NONE: UnixSelectors = { uids: [], gids: [], paths: [], sha256: [] };
const FACTS: UnixFacts = {
  ...{ pid: 7, uid: 1000, gid: 100, groups: [27, 33] },
  ...{ path: "/usr/bin/app", sha256: "ab", isProgramVisible: true },
};

for (const [selectors, facts, expected, asksDigest] of [
  [{}, {}, false, false],
  [{ uids: [1000] }, {}, true, false],
  [{ uids: [0, 1000] }, {}, true, false],
  [{ uids: [0] }, {}, false, false],
  [{ gids: [100] }, {}, true, false],
  [{ gids: [33] }, {}, true, false],
  [{ gids: [1000] }, {}, false, false],
  [{ paths: ["/usr/bin/app"] }, {}, true, false],
  [{ paths: ["/usr/bin"] }, {}, false, false],
  [{ paths: ["/usr/bin/app"] }, { path: null }, false, false],
  [{ paths: [""] }, { path: null }, false, false],
  [{ sha256: ["ab"] }, {}, true, true],
  [{ sha256: ["cd"] }, {}, false, true],
  [{ sha256: ["ab"] }, { sha256: null }, false, true],
  [{ sha256: ["ab"] }, { sha256: null, isProgramVisible: false }, false, false],
  [{ uids: [1000], gids: [27], paths: ["/usr/bin/app"], sha256: ["ab"] }, {}, true, true],
  [{ uids: [0], sha256: ["ab"] }, {}, false, false],
  [{ uids: [1000], paths: ["/bin/sh"] }, {}, false, false],
] as const) {
  test(`${JSON.stringify(selectors)} ${expected ? "matches" : "does not match"} ${JSON.stringify(facts)}`, () => {
    const wanted = { ...NONE, ...selectors };
    const found = { ...FACTS, ...facts };
    assert.equal(matchesSelectors(wanted, found), expected);
    assert.equal(needsDigest(wanted, found), asksDigest);
  });
}
