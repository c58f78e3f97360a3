import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { agentIdentities, agentResult, parseAgentIdentities, parseAgentRequest } from "./agent-protocol.js";
import { generateSshKeyPair } from "./private-key.js";
import { string, uint32 } from "./wire.js";

const SIGN = Buffer.concat([Buffer.of(13), string("key"), string("data"), uint32(2)]);
const KEY = generateSshKeyPair();
const jwk = KEY.keyObject.export({ format: "jwk" });
const [seed, point] = [jwk.d, jwk.x].map((field) => Buffer.from(field ?? "", "base64url")) as [Buffer, Buffer];
const ADD = Buffer.concat([
  Buffer.of(25),
  ...[string("ssh-ed25519"), string(point), string(Buffer.concat([seed, point])), string("comment")],
]);

test("reads a key with its constraints", () => {
  const request = parseAgentRequest(Buffer.concat([ADD, Buffer.of(2), Buffer.of(1), uint32(90)]));
  assert.ok(request.kind === "add");
  assert.ok(request.key.publicKeyBlob.equals(KEY.publicKeyBlob));
  assert.deepEqual([request.comment, request.confirm, request.lifetimeSeconds], ["comment", true, 90]);
});

test("reads which hash an RSA key shall use", () => {
  for (const [flags, algorithm] of [
    [2, "rsa-sha2-256"],
    [4, "rsa-sha2-512"],
    [0, "rsa-sha2-256"],
  ] as const) {
    const request = parseAgentRequest(Buffer.concat([SIGN.subarray(0, -4), uint32(flags)]));
    assert.equal(request.kind === "sign" && request.rsaAlgorithm, algorithm);
  }
});

for (const [what, message] of [
  ["an empty message", Buffer.alloc(0)],
  ["a request to sign that is cut short", SIGN.subarray(0, -1)],
  ["a request to sign with something behind it", Buffer.concat([SIGN, Buffer.of(0)])],
  ["a length that reaches past the end", Buffer.concat([Buffer.of(13), uint32(0xffffffff)])],
  ["a key of another type than its numbers", Buffer.concat([Buffer.of(17), string("ssh-rsa"), string("n"), string("e")])],
  ["a key whose halves do not belong together", tampered(ADD, ADD.length - 11 - 60)],
  ["a certificate that is none", Buffer.concat([Buffer.of(17), string("ssh-ed25519-cert-v01@openssh.com"), string("x")])],
  ["a security key", Buffer.concat([Buffer.of(17), string("sk-ssh-ed25519@openssh.com"), string("x")])],
  ["a constraint without its number", Buffer.concat([ADD, Buffer.of(1, 0)])],
  ["a constraint that nobody knows", Buffer.concat([ADD, Buffer.of(3), uint32(1)])],
  [
    "a restriction to destinations",
    Buffer.concat([ADD, Buffer.of(255), string("restrict-destination-v00@openssh.com"), string("")]),
  ],
] as const) {
  test(`refuses ${what}`, () => {
    assert.throws(
      () => parseAgentRequest(message),
      (error) => isMezError(error, "SSH_MALFORMED", "SSH_KEY_UNSUPPORTED"),
    );
  });
}

test("never throws anything else, whatever comes", () => {
  for (let round = 0; round < 3000; round += 1) {
    const base = [SIGN, ADD, randomBytes(40)][round % 3] as Buffer;
    const message = tampered(base, round % base.length);
    try {
      parseAgentRequest(message);
    } catch (error) {
      assert.ok(isMezError(error), `${message.toString("hex")}: ${String(error)}`);
    }
  }
});

test("reads the list that it writes, and takes a refusal for none", () => {
  const identities = [{ blob: KEY.publicKeyBlob, comment: "grün" }];
  assert.deepEqual(parseAgentIdentities(agentIdentities(identities)), identities);
  assert.equal(parseAgentIdentities(agentResult(false)), null);
});

function tampered(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 + Math.floor(Math.random() * 255));
  return copy;
}
