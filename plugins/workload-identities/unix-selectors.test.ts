import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesProgram, selectorsProblem, type UnixSelectors } from "./unix-selectors.js";

const NONE: UnixSelectors = { uids: [], gids: [], paths: [], sha256: [] };
const HASH = "ab".repeat(32);
const PROGRAM = { uid: 1000, gids: [1000, 27], path: "/usr/bin/app", sha256: HASH };

for (const [selectors, isMatch] of [
  [{}, false],
  [{ uids: [1000] }, true],
  [{ uids: [0, 1000] }, true],
  [{ uids: [0] }, false],
  [{ gids: [27] }, true],
  [{ gids: [28] }, false],
  [{ paths: ["/usr/bin/app"] }, true],
  [{ paths: ["/usr/bin"] }, false],
  [{ sha256: [HASH] }, true],
  [{ sha256: ["cd".repeat(32)] }, false],
  [{ uids: [1000], gids: [28] }, false],
  [{ uids: [1000], gids: [27], paths: ["/usr/bin/app"], sha256: [HASH] }, true],
] as const) {
  test(`${JSON.stringify(selectors)} ${isMatch ? "is" : "is not"} the program`, () => {
    assert.equal(matchesProgram({ ...NONE, ...selectors }, PROGRAM), isMatch);
  });
}

test("a program whose file nobody hashed is not one that is meant by its hash", () => {
  assert.equal(matchesProgram({ ...NONE, uids: [1000], sha256: [HASH] }, { ...PROGRAM, sha256: "" }), false);
});

for (const [selectors, path] of [
  [{}, "unix"],
  [{ uids: [-1] }, "unix.uid"],
  [{ uids: [0, 1.5] }, "unix.uid.1"],
  [{ uids: [4_294_967_295] }, "unix.uid"],
  [{ gids: [Number.NaN] }, "unix.gid"],
  [{ paths: ["app"] }, "unix.path"],
  [{ paths: ["/usr/../app"] }, "unix.path"],
  [{ paths: ["/usr//app"] }, "unix.path"],
  [{ sha256: [HASH.toUpperCase()] }, "unix.sha256"],
  [{ sha256: [HASH.slice(1)] }, "unix.sha256"],
] as const) {
  test(`refuses ${JSON.stringify(selectors).slice(0, 60)}`, () => {
    assert.equal(selectorsProblem({ ...NONE, ...selectors }, ["unix"])?.path.join("."), path);
  });
}
