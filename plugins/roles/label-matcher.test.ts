import assert from "node:assert/strict";
import test from "node:test";
import type { LabelSelector } from "./api.js";
import { compileSelector, type Labels } from "./label-matcher.js";

const CASES: readonly (readonly [selector: LabelSelector, labels: Labels, matches: boolean, what: string])[] = [
  [{}, { env: "prod" }, false, "no labels match nothing"],
  [{ "*": ["*"] }, {}, true, "*: * matches a node without labels"],
  [{ "*": ["*"] }, { env: "prod" }, true, "*: * matches any node"],
  [{ "*": ["*"], env: ["prod"] }, { env: "dev" }, false, "*: * adds nothing to a narrower label"],
  [{ env: ["prod"] }, { env: "prod" }, true, "exact"],
  [{ env: ["prod"] }, { env: "Prod" }, false, "case counts"],
  [{ env: ["prod"] }, {}, false, "an absent label does not match"],
  [{ env: ["staging", "prod"] }, { env: "prod" }, true, "any of a list"],
  [{ env: ["*"] }, { env: "anything" }, true, "* matches any value"],
  [{ env: ["*"] }, { other: "x" }, false, "* needs the label to be there"],
  [{ team: ["^eng-.*$"] }, { team: "eng-core" }, true, "regular expression"],
  [{ team: ["^eng-.*$"] }, { team: "x-eng-core" }, false, "regular expressions match the whole value"],
  [{ team: ["ops", "^eng-.*$"] }, { team: "ops" }, true, "exact and regular expression in one list"],
  [{ env: ["prod"], team: ["ops"] }, { env: "prod", team: "ops" }, true, "several labels, all match"],
  [{ env: ["prod"], team: ["ops"] }, { env: "prod", team: "dev" }, false, "several labels, one does not"],
  [{ constructor: ["*"] }, {}, false, "names of Object.prototype are no labels"],
  [{ env: ["*"] }, { env: "x".repeat(1025) }, false, "an absurdly long value matches nothing"],
];

for (const [selector, labels, matches, what] of CASES) {
  test(what, () => assert.equal(compileSelector(selector)(labels), matches));
}

test("a second look at the same value gives the same answer", () => {
  const matcher = compileSelector({ team: ["^eng-.*$"] });
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 1500; index++) assert.equal(matcher({ team: `eng-${index}` }), true);
    assert.equal(matcher({ team: "ops" }), false);
  }
});
