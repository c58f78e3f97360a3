import assert from "node:assert/strict";
import { test } from "node:test";
import { StatementCache } from "./statement-cache.js";

function counted(maxStatements?: number) {
  const compiled: string[] = [];
  const compile = (source: string) => {
    compiled.push(source);
    return { source };
  };
  return { compiled, cache: new StatementCache(compile, maxStatements) };
}

test("compiles a statement with placeholders once", () => {
  const { compiled, cache } = counted();
  assert.equal(cache.prepare("select ?"), cache.prepare("select ?"));
  assert.deepEqual(compiled, ["select ?"]);
});

for (const sql of ["begin", "commit", "savepoint job", "release savepoint job", "rollback to savepoint job"])
  test(`compiles "${sql}" once`, () => {
    const { compiled, cache } = counted();
    for (let time = 0; time < 3; time += 1) cache.prepare(sql);
    assert.equal(compiled.length, 1);
  });

for (const [what, sql] of [
  ["values in its text", "select 1 from t where name = 'eve'"],
  ["a very long text", `select ${"?, ".repeat(10_000)}?`],
] as const)
  test(`keeps no statement with ${what}`, () => {
    const { compiled, cache } = counted();
    for (let time = 0; time < 2; time += 1) cache.prepare(sql);
    assert.equal(compiled.length, 2);
  });

test("lets go of the statement that was not used for longest", () => {
  const { compiled, cache } = counted(2);
  for (const sql of ["a ?", "b ?", "a ?", "c ?", "a ?", "b ?"]) cache.prepare(sql);
  assert.deepEqual(compiled, ["a ?", "b ?", "c ?", "b ?"]);
});
