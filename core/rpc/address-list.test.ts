import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { parseAddressList } from "./address-list.js";

for (const [text, expected] of [
  ["a", ["a:3025"]],
  ["a:443, b ,a:443", ["a:443", "b:3025"]],
  ["[2001:db8::1],127.0.0.1:1", ["[2001:db8::1]:3025", "127.0.0.1:1"]],
] as const) {
  test(`reads "${text}" as ${expected.join(" and ")}`, () => {
    assert.deepEqual(parseAddressList(text, 3025), expected);
  });
}

for (const text of ["a b", "a:x", "a,,b", "a,", "a,http://b", Array.from({ length: 17 }, (_, index) => `h${index}`).join()]) {
  test(`refuses "${text}" as a list of addresses`, () => {
    assert.throws(
      () => parseAddressList(text, 3025),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}
