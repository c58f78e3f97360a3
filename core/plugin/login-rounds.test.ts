import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import type { CommandContext } from "./commands.js";
import { type LoginState, logInByRounds, type StepMessage } from "./login-rounds.js";
import { Secret } from "./secret.js";

type Sent = readonly [answers: readonly string[], newPassword: string];

/** Logs in to a server that gives these answers, one for each round, the last again and again. */
async function logIn(
  states: readonly Partial<LoginState>[],
  passwords: readonly string[] = [],
  more: { replacement?: Secret } = {},
) {
  const sent: Sent[] = [];
  const notes: string[] = [];
  const typed = [...passwords];
  const context = {
    output: { note: (text: string) => notes.push(text) },
    ...{ stdin: {}, stderr: {} },
    promptSecret: async () => {
      const next = typed.shift();
      if (next === undefined) throw new Error("no terminal");
      return new Secret(next);
    },
    loginAnswer: async (step: string) => async () => Buffer.from(`${step} done`),
  } as unknown as CommandContext;
  const state = await logInByRounds<LoginState>(context, {
    ...{ userName: "alice", otp: undefined, ...more },
    connection: { client: () => assert.fail("nothing is called"), serverAuthority: () => null },
    send: async (answers: StepMessage[], newPassword) => {
      sent.push([answers.map(({ message }) => String(message)), newPassword]);
      const next = states[Math.min(sent.length, states.length) - 1];
      return { token: "", mustChangePassword: false, demands: [], ...next };
    },
  });
  return { token: state.token, sent, notes };
}

const ASKS = { demands: [{ step: "mfa", message: Buffer.from("") }] };

test("answers what steps ask for, and then replaces a one-time password", async () => {
  const { token, sent, notes } = await logIn(
    [ASKS, { token: "early", mustChangePassword: true }, { token: "t", mustChangePassword: false }],
    ["new", "new"],
  );
  assert.equal(token, "t");
  assert.deepEqual(
    sent,
    [
      [["mfa done"], ""],
      [["mfa done"], ""],
      [["mfa done"], "new"],
    ].map(([answers, password], index) => [index === 0 ? [] : answers, password]),
  );
  assert.deepEqual(notes, ["This is a one-time password. Choose your own now.", "the password is changed"]);
});

test("asks for no new password that was given, and for none when none has to be", async () => {
  const must = [{ token: "early", mustChangePassword: true }, { token: "t" }];
  assert.deepEqual((await logIn(must, [], { replacement: new Secret("new") })).sent[1], [[], "new"]);
  assert.deepEqual((await logIn([{ token: "t" }], [], { replacement: new Secret("new") })).sent, [[[], ""]]);
});

test("says what to do without a terminal, and gives up on a server that asks for ever", async () => {
  const must = [{ token: "early", mustChangePassword: true }];
  await assert.rejects(logIn(must), (error) => isMezError(error, "PASSWORD_CHANGE_REQUIRED"));
  await assert.rejects(logIn(must, ["one", "other"]), (error) => isMezError(error, "INVALID_ARGUMENT"));
  await assert.rejects(logIn([ASKS]), /keeps asking for more/);
});
