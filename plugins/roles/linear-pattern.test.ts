import assert from "node:assert/strict";
import test from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { compilePattern } from "./linear-pattern.js";

const PATTERNS = [
  "^eng-.*$",
  "^(prod|staging)-[0-9]+$",
  "^a*$",
  "^a+b?c{2,3}$",
  "^[^x-z]+$",
  "^[\\w.-]+@example\\.com$",
  "^(?:ab|a)(?:c|bcd)$",
  "^\\d{4}-\\d{2}$",
  "^(a|b|)*c$",
  "^[]a]?$|^b$".slice(0, 0) + "^\\S+ \\W\\D$",
  "^.?.?.?$",
  "^(a?){3}b$",
  "^a{2,}$",
  "^[a\\-z]$",
  "^[-a]$",
  "^\\$x\\^$",
  "^ü[|]ö$",
  "^$",
] as const;
const TEXTS = [
  "",
  "a",
  "aa",
  "aaa",
  "ab",
  "abc",
  "abcd",
  "acc",
  "abcc",
  "abccc",
  "eng-",
  "eng-x",
  "xeng-x",
  "prod-1",
  "staging-22",
  "prod-",
  "b",
  "c",
  "abac",
  "joe.x@example.com",
  "joe@example_com",
  "2024-05",
  "2024-5",
  "ab !",
  "a !x",
  "x",
  "-",
  "z",
  "$x^",
  "ü|ö",
  "aab",
  "aaab",
  "b\n",
  "eng-\n",
] as const;

for (const pattern of PATTERNS) {
  test(`${pattern} matches what a backtracking engine says it matches`, () => {
    const ours = compilePattern(pattern);
    const theirs = new RegExp(`^(?:${pattern.slice(1, -1)})$`);
    for (const text of TEXTS) assert.equal(ours(text), theirs.test(text), JSON.stringify(text));
  });
}

const REFUSED = [
  "eng-.*",
  "^eng",
  "^a\\$",
  "^(a$",
  "^a)$",
  "^[a$",
  "^a**$",
  "^*a$",
  "^(?=a)b$",
  "^(?<n>a)$",
  "^(a)\\1$",
  "^\\bx$",
  "^a{5,2}$",
  "^a{x}$",
  "^a^b$",
  "^a$b$",
  "^[z-a]$",
  "^a{1001}$",
  "^(a{1000}){1000}$",
  `^${"(".repeat(40)}a${")".repeat(40)}$`,
  `^${"a".repeat(300)}$`,
] as const;

for (const pattern of REFUSED) {
  test(`refuses ${pattern.slice(0, 30)}`, () => {
    assert.throws(
      () => compilePattern(pattern),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

test("patterns that make a backtracking engine explode are answered at once", { timeout: 120_000 }, () => {
  for (const pattern of [
    "^(a+)+$",
    "^(a|a)*$",
    "^(a|aa)+$",
    "^(.*)*x$",
    "^.*.*.*.*.*.*.*.*y$",
    "^((((){1000}){1000}){1000}){1000}b$",
  ]) {
    assert.equal(compilePattern(pattern)(`${"a".repeat(1000)}!`), false);
  }
});
