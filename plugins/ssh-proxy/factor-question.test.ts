import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { KeyboardInteractiveAttempt } from "../../core/ssh/authentication-attempt.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { SessionProof, SessionProofRequest } from "../mfa/api.js";
import type { CertifiedPerson } from "./certificate-gate.js";
import { ConnectionFactor } from "./client-login.js";
import { FactorQuestion } from "./factor-question.js";

const ALICE = { user: "alice", roles: ["dev"] } as unknown as CertifiedPerson;

/** The code is 123456, and the page is done after the client has been told of it. */
function proofWith(kinds: { readonly code: boolean; readonly page: boolean }): SessionProof & { readonly answers: string[] } {
  const answers: string[] = [];
  return {
    answers,
    takesCode: kinds.code,
    link: kinds.page ? "https://mezite.example.com/mfa#abc" : null,
    checkCode: "0042",
    async answer(code) {
      answers.push(code);
      if (code !== "123456") throw new MezError("MFA_REFUSED", "the code is wrong");
    },
    done: async () => void answers.push("page"),
    use: async () => "totp",
  };
}

function attemptWith(replies: readonly string[]): { readonly attempt: KeyboardInteractiveAttempt; readonly shown: string[] } {
  const shown: string[] = [];
  const left = [...replies];
  const attempt: KeyboardInteractiveAttempt = {
    method: "keyboard-interactive",
    user: "alice",
    signal: new AbortController().signal,
    async prompt(instruction, questions) {
      shown.push(instruction, ...questions.map(({ prompt }) => prompt));
      return questions.map(() => left.shift() ?? "");
    },
  };
  return { attempt, shown };
}

function questionWith(begin: (request: SessionProofRequest) => Promise<SessionProof>): FactorQuestion {
  return new FactorQuestion({ proofs: () => ({ begin }), logger: silentLogger });
}

const nobody = questionWith(() => Promise.reject(new MezError("MFA_REQUIRED", "none")));

for (const [what, kinds, replies, answers, shown] of [
  ["a code", { code: true, page: false }, ["123456"], ["123456"], 2],
  ["a code after a wrong one", { code: true, page: true }, ["1", "123456"], ["1", "123456"], 4],
  ["an empty line for the page", { code: true, page: true }, [""], ["page"], 2],
  ["no question where only a page will do", { code: false, page: true }, [], ["page"], 1],
] as const) {
  test(`takes ${what}`, async () => {
    const proof = proofWith(kinds);
    const { attempt, shown: texts } = attemptWith(replies);
    assert.deepEqual(await nobody.ask(ALICE, proof, attempt), { kind: "totp", missingBecause: "" });
    assert.deepEqual([proof.answers, texts.length], [answers, shown]);
    if (kinds.page) assert.match(texts[0] ?? "", /open https:\/\/mezite\.example\.com\/mfa#abc \(it shows 0042\)/);
  });
}

test("gives up after three wrong codes, and takes no empty line for an answer without a page", async () => {
  const proof = proofWith({ code: true, page: false });
  await assert.rejects(nobody.ask(ALICE, proof, attemptWith(["", "2", "3", "123456"]).attempt), (error) =>
    isMezError(error, "MFA_REFUSED"),
  );
  assert.deepEqual(proof.answers, ["", "2", "3"]);
});

test("asks one person ten times at once, not more", async () => {
  const never: SessionProof = { ...proofWith({ code: false, page: true }), done: () => new Promise(() => undefined) };
  for (let count = 0; count < 10; count++) void nobody.ask(ALICE, never, attemptWith([]).attempt);
  await assert.rejects(nobody.ask(ALICE, never, attemptWith([]).attempt), (error) => isMezError(error, "LIMIT_EXCEEDED"));
  await nobody.ask({ ...ALICE, user: "bob" }, proofWith({ code: true, page: false }), attemptWith(["123456"]).attempt);
});

test("asks for a weaker kind than the strongest that is demanded somewhere, when that is all that the person has", async () => {
  const asked: string[] = [];
  const question = questionWith(async ({ kind }) => {
    asked.push(kind);
    if (kind !== "totp") throw new MezError("MFA_REQUIRED", "none");
    return proofWith({ code: true, page: false });
  });
  assert.ok("proof" in (await question.prepare(ALICE, "hardware_key", "192.0.2.7")));
  assert.deepEqual(asked, ["hardware_key", "webauthn", "totp"]);
});

for (const [what, question, reason] of [
  ["somebody without a factor", nobody, /alice has none that would do; add one: msh mfa add/],
  [
    "an auth service that is away",
    questionWith(() => Promise.reject(new MezError("UNAVAILABLE", "away"))),
    /cannot be checked now/,
  ],
  ["a key where there are no pages", questionWith(async () => proofWith({ code: false, page: false })), /no web pages/],
  ["a cluster without second factors", new FactorQuestion({ proofs: () => null, logger: silentLogger }), /the plugin mfa is off/],
] as const) {
  test(`keeps a reason for ${what}`, async () => {
    const prepared = await question.prepare(ALICE, "totp", "192.0.2.7");
    assert.match("missingBecause" in prepared ? prepared.missingBecause : "", reason);
  });
}

test("a connection's factor is good once, and not for long", () => {
  let now = 0;
  const clock = { now: () => new Date(now) };
  const factor = new ConnectionFactor({ kind: "totp", missingBecause: "" }, clock);
  now = 119_000;
  assert.equal(factor.take(), "totp");
  assert.deepEqual([factor.take(), factor.state.missingBecause], [null, "this connection has used its own up; open a new one"]);
  const late = new ConnectionFactor({ kind: "totp", missingBecause: "" }, clock);
  now += 120_000;
  assert.deepEqual([late.take(), late.state.missingBecause], [null, "this connection proved one too long ago; open a new one"]);
});
