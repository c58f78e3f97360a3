import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { type AdvanceRequest, type Authority, AuthorityType } from "../../proto/gen/mezite/ca/v1/ca.js";
import { move } from "./rotation-command.js";

const INIT: Authority = {
  ...{ type: AuthorityType.AUTHORITY_TYPE_USER, phase: "init", phaseSince: new Date(0), keys: [], laggards: [] },
};
const ADVANCE = { type: "user", way: "advance" } as const;

test("sends the phase that was seen, so that nobody goes on from another", async () => {
  const world = worldOf({ ready: true });
  await move(world.context, { ...ADVANCE, force: false });
  assert.deepEqual(world.requests, [{ type: AuthorityType.AUTHORITY_TYPE_USER, expectedPhase: "init", force: false }]);
  assert.deepEqual(world.notes, ["new user certificates come from the new keys"]);
});

test("asks at a terminal before anybody is left behind, and takes only yes for an answer", async () => {
  const agreed = worldOf({ ready: false, answer: "yes" });
  await move(agreed.context, { ...ADVANCE, force: false });
  assert.deepEqual(
    agreed.requests.map(({ force }) => force),
    [false, true],
  );
  assert.match(String(agreed.stderr.read()), /node db-02 has not been heard of\nGo on all the same \(yes\/no\)\? /);
  const refused = worldOf({ ready: false, answer: "y" });
  await assert.rejects(move(refused.context, { ...ADVANCE, force: false }), (error) => isMezError(error, "ROTATION_NOT_READY"));
  assert.equal(refused.requests.length, 1);
});

test("asks nobody in a script, and goes on with --force", async () => {
  const script = worldOf({ ready: false });
  await assert.rejects(move(script.context, { ...ADVANCE, force: false }), (error) => isMezError(error, "ROTATION_NOT_READY"));
  await move(script.context, { ...ADVANCE, force: true });
  assert.deepEqual(
    script.requests.map(({ force }) => force),
    [false, true],
  );
});

// --- internal ---

/** An auth service that wants force when it is not ready, and a person who answers when there is a terminal. */
function worldOf({ ready, answer }: { readonly ready: boolean; readonly answer?: string }) {
  const requests: AdvanceRequest[] = [];
  const notes: string[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: answer !== undefined });
  if (answer !== undefined) stdin.write(`${answer}\n`);
  const stderr = new PassThrough();
  const client = {
    getStatus: async () => ({ authorities: [INIT] }),
    advance: async (request: AdvanceRequest) => {
      requests.push(request);
      if (!ready && !request.force) throw new MezError("ROTATION_NOT_READY", "node db-02 has not been heard of");
      return { authority: { ...INIT, phase: "update-clients" } };
    },
  };
  const context = {
    ...{ stdin, stderr, signal: AbortSignal.timeout(60_000), rpc: async () => client },
    output: { format: "table", rows: async () => undefined, note: (text: string) => void notes.push(text) },
  } as unknown as CommandContext;
  return { context, requests, notes, stderr };
}
