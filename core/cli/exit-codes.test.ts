import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { MezError } from "../errors/error.js";
import { exitCodeOf } from "./exit-codes.js";

const missingFile = await readFile("/nonexistent/file").catch((error: unknown) => error);

for (const [thrown, code] of [
  [new MezError("INTERNAL", ""), 1],
  [new MezError("INVALID_DURATION", ""), 2],
  [new MezError("UNAUTHENTICATED", ""), 3],
  [new MezError("ACCESS_DENIED", ""), 4],
  [new MezError("NOT_FOUND", ""), 5],
  [new MezError("UNAVAILABLE", ""), 7],
  [missingFile, 9],
  [new TypeError("x"), 1],
  ["a string", 1],
  [undefined, 1],
] as const) {
  test(`${thrown instanceof MezError ? thrown.code : String(thrown)} ends with ${code}`, () =>
    assert.equal(exitCodeOf(thrown), code));
}
