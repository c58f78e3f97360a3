import assert from "node:assert/strict";
import { test } from "node:test";
import { boundStatement } from "./bound-statement.js";

const AT = new Date("2026-01-02T03:04:05.678Z");

for (const [what, value, bound] of [
  ["a text", "it's", "it's"],
  ["a whole number, as one", 5, 5n],
  ["a number beyond 32 bits", 9_007_199_254_740_991, 9_007_199_254_740_991n],
  ["a fraction", 0.5, 0.5],
  ["true", true, 1n],
  ["false", false, 0n],
  ["a moment, in milliseconds", AT, BigInt(AT.getTime())],
  ["bytes", Buffer.of(1, 2), Buffer.of(1, 2)],
  ["null", null, null],
  ["what is not there", undefined, null],
] as const) {
  test(`binds ${what}`, () => assert.deepEqual(boundStatement("select ?", [value]), { sql: "select ?", values: [bound] }));
}

for (const [given, values, sql, bound] of [
  ["select a from t where b = ? limit ?", ["x", 1], "select a from t where b = ? limit 1", ["x"]],
  ["select a from t limit ? offset ?", [20, 40], "select a from t limit 20 offset ?", [40n]],
  ["select (select a from t limit ?) from u where b > ?", [1, 2], "select (select a from t limit 1) from u where b > ?", [2n]],
  ["select '?' from t", [], "select '?' from t", []],
  ["select a from t limit ?", [null], "select a from t limit ?", [null]],
] as const) {
  test(`writes limits into the text, and nothing else: ${given}`, () =>
    assert.deepEqual(boundStatement(given, values), { sql, values: bound }));
}

for (const [what, sql, values] of [
  ["an identifier", "select ?? from t", ["id"]],
  ["an escaped question mark", "select a \\? ?", [1]],
  ["a question mark in a text", "select '?'", [1]],
  ["fewer values than placeholders", "select ?, ?", [1]],
  ["a list", "select 1 where 1 in (?)", [[1, 2]]],
  ["an object", "select ?", [{ a: 1 }]],
  ["bytes of another kind", "select ?", [new Uint8Array([1])]],
  ["a number that is none", "select ?", [Number.NaN]],
  ["a moment that is none", "select ?", [new Date(Number.NaN)]],
  ["a number that is not exact", "select ?", [2 ** 60]],
] as const) {
  test(`leaves a statement with ${what} to MikroORM`, () => assert.equal(boundStatement(sql, values), null));
}
