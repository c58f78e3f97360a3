import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { string, uint32 } from "../ssh/wire.js";
import * as direct from "./direct-route.js";

const REQUEST: direct.DirectRequest = {
  user: "ada",
  host: "web-01.prod",
  port: 22,
  certificate: randomBytes(700),
  trust: randomBytes(128),
  signature: randomBytes(83),
};

test("a request is read as it was written", () => {
  assert.deepEqual(direct.decodeDirectRequest(direct.encodeDirectRequest(REQUEST)), REQUEST);
});

test("a request that is cut short anywhere, or goes on, is refused", () => {
  const bytes = direct.encodeDirectRequest(REQUEST);
  for (let length = 0; length < bytes.length; length += 1)
    assert.throws(() => direct.decodeDirectRequest(bytes.subarray(0, length)), malformed, `${length} bytes`);
  assert.throws(() => direct.decodeDirectRequest(Buffer.concat([bytes, Buffer.of(0)])), malformed);
});

for (const [what, bytes] of [
  ["text that is not UTF-8", Buffer.concat([Buffer.of(1), string(Buffer.of(0xff))])],
  ["a field that is longer than the frame", Buffer.concat([Buffer.of(1), uint32(0xffff_ffff)])],
  ["the names of too many keys", direct.encodeDirectRequest({ ...REQUEST, trust: Buffer.alloc(513) })],
  ["an endless login name", direct.encodeDirectRequest({ ...REQUEST, user: "a".repeat(257) })],
] as const)
  test(`a request with ${what} is refused`, () => {
    assert.throws(() => direct.decodeDirectRequest(bytes), malformed);
  });

test("another version is refused by its number", () => {
  const bytes = direct.encodeDirectRequest(REQUEST);
  bytes[0] = 2;
  assert.throws(() => direct.decodeDirectRequest(bytes), /version 2 of the direct route is not known/);
});

test("a certificate that fits no frame is not sent", () => {
  assert.throws(
    () => direct.encodeDirectRequest({ ...REQUEST, certificate: Buffer.alloc(direct.MAX_DIRECT_REQUEST_BYTES) }),
    (error) => isMezError(error, "INVALID_ARGUMENT"),
  );
});

test("what is signed depends on the connection and on every field, and is no SSH login", () => {
  const exporter = randomBytes(32);
  const signed = direct.directBytesToSign(exporter, REQUEST);
  const others = [
    direct.directBytesToSign(randomBytes(32), REQUEST),
    direct.directBytesToSign(exporter, { ...REQUEST, user: "eve" }),
    direct.directBytesToSign(exporter, { ...REQUEST, host: "web-02" }),
    direct.directBytesToSign(exporter, { ...REQUEST, port: 3022 }),
    direct.directBytesToSign(exporter, { ...REQUEST, certificate: randomBytes(700) }),
    direct.directBytesToSign(exporter, { ...REQUEST, trust: randomBytes(128) }),
    // The end of one field is not the beginning of the next.
    direct.directBytesToSign(exporter, { ...REQUEST, user: "adaw", host: "eb-01.prod" }),
  ];
  for (const other of others) assert.notDeepEqual(other, signed);
  const sessionIdLengths = [20, 32, 48, 64];
  assert.ok(!sessionIdLengths.includes(signed.readUInt32BE(0)));
  assert.notEqual(signed.subarray(0, 6).toString(), "SSHSIG");
});

for (const [verdict, trust] of [
  ["go", "current"],
  ["refused", "outdated"],
  ["jump", "unusable"],
] as const)
  test(`the answer "${verdict}" is read as it was written`, () => {
    const answer = { verdict, trust, message: verdict === "go" ? "" : "es gibt keinen Knoten „web-09“" };
    assert.deepEqual(direct.decodeDirectAnswer(direct.encodeDirectAnswer(answer)), answer);
  });

test("an answer is one line, however it came about, and never too long for its frame", () => {
  const message = `no\r\nway\u001b[2J \u202eback ${"𝛑".repeat(20_000)}`;
  const bytes = direct.encodeDirectAnswer({ verdict: "refused", trust: "current", message });
  assert.ok(bytes.length <= direct.MAX_DIRECT_ANSWER_BYTES, String(bytes.length));
  const hostile = Buffer.concat([Buffer.of(1, 0), string("no\r\nway\u001b[2J \u202eback")]);
  assert.equal(direct.decodeDirectAnswer(hostile).message, "no way [2J  back");
  assert.match(direct.decodeDirectAnswer(bytes).message, /^no way \[2J {2}back 𝛑/u);
});

for (const [what, bytes] of [
  ["no verdict", Buffer.alloc(0)],
  ["a verdict that nobody knows", Buffer.concat([Buffer.of(3, 0), string("")])],
  ["a word on trust that nobody knows", Buffer.concat([Buffer.of(0, 3), string("")])],
  ["something after its message", Buffer.concat([Buffer.of(0, 0), string(""), Buffer.of(0)])],
  ["half a message", Buffer.concat([Buffer.of(1, 0), uint32(10), Buffer.from("half")])],
] as const)
  test(`an answer with ${what} is refused`, () => {
    assert.throws(() => direct.decodeDirectAnswer(bytes), malformed);
  });

// --- internal ---

function malformed(error: unknown): boolean {
  return isMezError(error, "SSH_MALFORMED");
}
