import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { END_REASON_HEADER, parseSessionEnd, sessionEndHeaders } from "./session-end.js";
import { SESSION_ID_HEADER } from "./stream-headers.js";

const sessionId = "0b1f0b5e-6a5c-4d0e-9d5a-0f6f3a1c2b3d";

for (const [what, reason, told] of [
  ["a sentence", "user alice is locked: Security review", "user alice is locked: Security review"],
  ["other scripts", "Überprüfung 审查", "Überprüfung 审查"],
  ["nothing", "", ""],
  ["lines and escapes", "one\r\ntwo\u001b[31m\u202e", "one two [31m"],
  ["half a character", "\ud83d", "�"],
  ["a long text", "€".repeat(5_000), "€".repeat(1_000)],
] as const)
  test(`${what} is told as one line`, () => {
    assert.deepEqual(parseSessionEnd({ ...headersOf(reason) }), { sessionId, reason: told });
  });

for (const [what, more] of [
  ["another method", { ":method": "GET" }],
  ["no session", { [SESSION_ID_HEADER]: undefined }],
  ["a session that is none", { [SESSION_ID_HEADER]: "1" }],
  ["no reason", { [END_REASON_HEADER]: undefined }],
  ["a reason that is not encoded", { [END_REASON_HEADER]: "%zz" }],
  ["a reason that is too long", { [END_REASON_HEADER]: "a".repeat(12_001) }],
] as const)
  test(`refuses ${what}`, () => {
    assert.throws(
      () => parseSessionEnd({ ...headersOf("locked"), ...more }),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });

test("what lies behind the encoding is one line as well", () => {
  const { reason } = parseSessionEnd({ ...headersOf("x"), [END_REASON_HEADER]: "a%0d%0ab%1b%5b" });
  assert.equal(reason, "a b [");
});

// --- internal ---

function headersOf(reason: string): Record<string, string> {
  return sessionEndHeaders({ sessionId, reason }) as Record<string, string>;
}
