import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { SessionBindings } from "./agent-bindings.js";
import { type Destination, readDestinations } from "./agent-destinations.js";
import { issueCertificate } from "./certificate-issue.js";
import { generateSshKeyPair, type SshPrivateKey } from "./private-key.js";
import { createSignature } from "./signature.js";
import { string } from "./wire.js";

const [A, B, CA, MINE] = [generateSshKeyPair(), generateSshKeyPair(), generateSshKeyPair(), generateSshKeyPair()];
const NOW = new Date();
const sid = (): Buffer => randomBytes(32);

function bound(): SessionBindings {
  return new SessionBindings(() => NOW);
}

function bind(
  bindings: SessionBindings,
  host: SshPrivateKey,
  sessionId: Buffer,
  isForwarding: boolean,
  blob = host.publicKeyBlob,
): boolean {
  return bindings.bind({ hostKeyBlob: blob, sessionId, signature: createSignature(host, sessionId), isForwarding });
}

/** An end of a hop, as ssh-add writes it. */
function end(name: string, key: Buffer | null, user = "", isAuthority = false): Buffer {
  const keys = key === null ? [] : [string(key), Buffer.of(isAuthority ? 1 : 0)];
  return string(Buffer.concat([string(user), string(name), string(""), ...keys]));
}

const HERE = end("", null);
const hop = (from: Buffer, to: Buffer, rest = string("")): Buffer => string(Buffer.concat([from, to, rest]));
const [a, b] = [A.publicKeyBlob, B.publicKeyBlob];
const toA: readonly Destination[] = readDestinations(hop(HERE, end("a", a)));
const overA = readDestinations(Buffer.concat([hop(HERE, end("a", a)), hop(end("a", a), end("b", b, "deploy*"))]));

function login(sessionId: Buffer, { user = "deploy", hostKey = null as Buffer | null, key = MINE.publicKeyBlob } = {}): Buffer {
  const method = hostKey === null ? "publickey" : "publickey-hostbound-v00@openssh.com";
  const request = [string(user), string("ssh-connection"), string(method), Buffer.of(1), string("ssh-ed25519"), string(key)];
  return Buffer.concat([string(sessionId), Buffer.of(50), ...request, ...(hostKey === null ? [] : [string(hostKey)])]);
}

const signs = (bindings: SessionBindings, where: readonly Destination[], data: Buffer): boolean =>
  bindings.signs(where, MINE.publicKeyBlob, data);

test("a key without restrictions is shown and signs everywhere", () => {
  const bindings = bound();
  assert.ok(bindings.shows([]) && signs(bindings, [], Buffer.from("anything")));
});

test("a restricted key signs the login of the session that is bound, and nothing else", () => {
  const [bindings, session] = [bound(), sid()];
  assert.ok(bindings.shows(toA), "before anything is bound, e.g. for ssh-add -l");
  assert.equal(signs(bindings, toA, login(session)), false);
  assert.ok(bind(bindings, A, session, false));
  assert.ok(bindings.shows(toA) && signs(bindings, toA, login(session)));
  assert.ok(signs(bindings, toA, login(session, { hostKey: a })));
  for (const [what, data] of [
    ["another session", login(sid())],
    ["another host in the request", login(session, { hostKey: b })],
    ["another key in the request", login(session, { key: b })],
    ["no login", Buffer.from("SSHSIG")],
    ["a login with something behind it", Buffer.concat([login(session), Buffer.of(0)])],
  ] as const)
    assert.equal(signs(bindings, toA, data), false, what);
});

test("a restricted key is not seen on the way to another host", () => {
  const [bindings, session] = [bound(), sid()];
  assert.ok(bind(bindings, B, session, false));
  assert.equal(bindings.shows(toA), false);
  assert.equal(signs(bindings, toA, login(session)), false);
});

test("a forwarded key goes where a hop leads from there, as the user that it names", () => {
  const [bindings, first, second] = [bound(), sid(), sid()];
  assert.ok(bind(bindings, A, first, true));
  assert.deepEqual([bindings.shows(overA), bindings.shows(toA)], [true, false]);
  assert.equal(signs(bindings, overA, login(first, { hostKey: a })), false, "a login at the host that it was handed to");
  assert.ok(bind(bindings, B, second, false));
  assert.ok(signs(bindings, overA, login(second, { hostKey: b })));
  assert.equal(signs(bindings, overA, login(second)), false, "a forwarded login names the host");
  assert.equal(signs(bindings, overA, login(second, { hostKey: b, user: "root" })), false);
  assert.equal(signs(bindings, toA, login(second, { hostKey: b })), false);
});

test("a binding is believed with the host's signature, once for a login, and for no other host", () => {
  const [bindings, session] = [bound(), sid()];
  assert.equal(
    bindings.bind({ hostKeyBlob: a, sessionId: session, signature: createSignature(B, session), isForwarding: false }),
    false,
  );
  assert.equal(
    bindings.bind({ hostKeyBlob: Buffer.from("no key"), sessionId: session, signature: session, isForwarding: false }),
    false,
  );
  assert.equal(bindings.shows(toA), false, "after a binding that was not believed");
  assert.ok(bind(bindings, A, session, true) && bind(bindings, A, session, true));
  assert.equal(bind(bindings, B, session, true), false, "the same session at another host");
  assert.ok(bind(bindings, B, sid(), false));
  assert.equal(bind(bindings, A, sid(), false), false, "after the login");
  const many = bound();
  assert.deepEqual(
    [16, 17].map((count) => Array.from({ length: count }, () => bind(many, A, sid(), true)).at(-1)),
    [true, false],
  );
});

test("a host that shows a certificate is one of its name, by a CA that the restriction names", () => {
  const certified = (name: string): Buffer =>
    issueCertificate(
      {
        ...{ role: "host", subjectBlob: a, serial: 1n, keyId: name, principals: [name], extensions: {} },
        validAfter: new Date(NOW.getTime() - 1_000),
        validBefore: new Date(NOW.getTime() + 60_000),
      },
      CA,
    );
  const where = readDestinations(hop(HERE, end("web-01", CA.publicKeyBlob, "", true)));
  for (const [name, isIt] of [
    ["web-01", true],
    ["web-02", false],
  ] as const) {
    const bindings = bound();
    assert.ok(bind(bindings, A, sid(), false, certified(name)));
    assert.equal(bindings.shows(where), isIt, name);
  }
  const plain = bound();
  assert.ok(bind(plain, CA, sid(), false));
  assert.equal(plain.shows(where), false, "the CA's own key is no host's");
});

for (const [what, bytes] of [
  ["no destination", Buffer.alloc(0)],
  ["a destination without a host", hop(HERE, end("", null))],
  ["a host without keys", hop(HERE, end("a", null))],
  ["an origin with a user", hop(end("a", a, "root"), end("b", b))],
  ["an origin with keys and no name", hop(end("", a), end("b", b))],
  ["a part that nobody knows", hop(HERE, end("a", a), string("more"))],
  ["a destination that is cut short", hop(HERE, end("a", a)).subarray(0, -1)],
] as const) {
  test(`a restriction with ${what} is refused`, () => {
    assert.throws(() => readDestinations(bytes), { code: /SSH_MALFORMED|SSH_KEY_UNSUPPORTED/ } as never);
  });
}

for (const [pattern, user, isIt] of [
  ["*", "root", true],
  ["r?ot", "root", true],
  ["r?ot", "rot", false],
  ["*o*t*", "root", true],
  ["root", "Root", false],
  ["a*b", "ab", true],
  [`${"*a".repeat(2_000)}b`, "a".repeat(5_000), false],
] as const) {
  test(`the user ${user.slice(0, 8)} is ${isIt ? "" : "not "}one of ${pattern.slice(0, 8)}`, () => {
    const [bindings, session] = [bound(), sid()];
    bind(bindings, A, session, false);
    assert.equal(signs(bindings, readDestinations(hop(HERE, end("a", a, pattern))), login(session, { user })), isIt);
  });
}
