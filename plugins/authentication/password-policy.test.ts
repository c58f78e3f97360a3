import assert from "node:assert/strict";
import test from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { checkPassword, generatePassword } from "./password-policy.js";

for (const text of [
  "short",
  "elevenchars",
  "aaaaaaaaaaaaaa",
  "abababababab",
  "alicealicealice1",
  "password1234567",
  "Administrator1!",
  "qwerty123456!!",
  "with\u0000control!!",
  "x".repeat(600),
]) {
  test(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
    assert.throws(
      () => checkPassword("alice", new Secret(text), 12),
      (error) => isMezError(error, "PASSWORD_REFUSED") && !error.message.includes(text),
    );
  });
}

for (const text of ["correct horse battery", "пароль для входа", "alice likes green tea", "x7#kQp!2zLw9"]) {
  test(`takes ${text}`, () => checkPassword("alice", new Secret(text), 12));
}

test("generated passwords differ, pass the policy and can be read aloud", () => {
  const made = new Set(Array.from({ length: 200 }, () => generatePassword().expose()));
  assert.equal(made.size, 200);
  for (const text of made) {
    checkPassword("alice", new Secret(text), 12);
    assert.doesNotMatch(text, /[0O1lI]/);
  }
});
