import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { ErrorCode } from "../../core/errors/codes.js";
import { isMezError } from "../../core/errors/error.js";
import { callOf, openRecordingServer, type RecordingServer } from "../../test/fixtures/recording-server.js";

const AUDITOR = callOf({
  ...{ kind: "user", name: "eve", roles: ["auditor"], sessionId: "s1", mustChangePassword: false },
  traits: { internal: {}, external: {} },
});

describe("recordings on the auth service", () => {
  let server: RecordingServer;
  before(async () => {
    server = await openRecordingServer();
  });
  after(() => server.close());

  function descriptionOf(
    sessionId: string,
    changes: Partial<{ user: string; node: string; channel: number; startedAt: Date }> = {},
  ) {
    const startedAt = new Date("2026-03-01T00:00:00Z");
    return { sessionId, channel: 0, user: "alice", login: "deploy", node: "web-01", command: "", startedAt, ...changes };
  }

  async function record(text: string, changes: Parameters<typeof descriptionOf>[1] = {}): Promise<string> {
    const id = randomUUID();
    const client = server.clientOf(changes.node ?? "web-01");
    await client.appendRecording({ id, offset: 0, data: Buffer.from(text), description: descriptionOf(id, changes) });
    return id;
  }

  test("takes bytes of a recording only from the node that made it", async () => {
    const id = await record("abc");
    const other = server.clientOf("web-02");
    const piece = { id, offset: 3, data: Buffer.from("d"), description: undefined };
    await rejects(other.appendRecording(piece), "ACCESS_DENIED");
    await rejects(
      other.appendRecording({ ...piece, offset: 0, description: descriptionOf(id, { node: "web-02" }) }),
      "ACCESS_DENIED",
    );
    await rejects(other.getRecordingSize({ id }), "ACCESS_DENIED");
    const end = { id, endedAt: new Date(), sizeBytes: 3, interrupted: false };
    await rejects(other.completeRecording(end), "ACCESS_DENIED");
    await rejects(server.handlers.appendRecording(piece, AUDITOR), "ACCESS_DENIED");
    assert.deepEqual(await server.clientOf("web-01").getRecordingSize({ id }), { sizeBytes: 3, complete: false });
  });

  test("does not let a node record sessions of another", async () => {
    const id = randomUUID();
    const request = { id, offset: 0, data: Buffer.from("x"), description: descriptionOf(id, { node: "web-02" }) };
    await rejects(server.clientOf("web-01").appendRecording(request), "ACCESS_DENIED");
    assert.equal(server.store.bytes(id), null);
  });

  for (const [what, change, code] of [
    ["an id that is a path", { id: "../../etc/passwd" }, "INVALID_ARGUMENT"],
    ["an id in capitals", { id: randomUUID().toUpperCase() }, "INVALID_ARGUMENT"],
    ["a negative offset", { offset: -1 }, "INVALID_ARGUMENT"],
    ["a piece that is too large", { data: Buffer.alloc(262_145) }, "LIMIT_EXCEEDED"],
    ["an unknown recording without its description", { description: undefined }, "CONFLICT"],
    ["an unknown recording from its middle", { offset: 5 }, "CONFLICT"],
    ["a name that is too long", { description: { ...descriptionOf(randomUUID()), user: "a".repeat(1025) } }, "INVALID_ARGUMENT"],
    ["the id of another channel", { description: { ...descriptionOf(randomUUID()), channel: 3 } }, "INVALID_ARGUMENT"],
  ] as const) {
    test(`refuses ${what}`, async () => {
      const id = randomUUID();
      const request = { id, offset: 0, data: Buffer.from("x"), description: descriptionOf(id), ...change };
      await rejects(server.clientOf("web-01").appendRecording(request), code);
    });
  }

  test("completes a recording once, and only when all of it has come", async () => {
    const id = await record("abcdef");
    const client = server.clientOf("web-01");
    const end = { id, endedAt: new Date("2026-03-01T00:10:00Z"), sizeBytes: 7, interrupted: false };
    await rejects(client.completeRecording(end), "CONFLICT");
    await client.completeRecording({ ...end, sizeBytes: 6 });
    await client.completeRecording({ ...end, sizeBytes: 6, interrupted: true });
    assert.deepEqual(await client.getRecordingSize({ id }), { sizeBytes: 6, complete: true });
    assert.ok(server.store.isComplete(id));
    const found = (await server.service.list({}, 1000)).find((recording) => recording.id === id);
    assert.deepEqual([found?.state, found?.endedAt?.toISOString()], ["complete", "2026-03-01T00:10:00.000Z"]);
    await rejects(client.completeRecording({ ...end, id: randomUUID() }), "NOT_FOUND");
  });

  test("lists newest first, of one user, in pages without gaps or repetitions", async () => {
    const ids: string[] = [];
    // Two of each moment, so that the order hangs on the id as well.
    for (let index = 0; index < 10; index += 1) {
      ids.push(await record("x".repeat(index), { user: "bob", startedAt: new Date(1_800_000_000_000 + Math.floor(index / 2)) }));
    }
    const listed: { id: string; at: number; size: number }[] = [];
    let pageToken = "";
    do {
      const page = await server.handlers.listRecordings({ user: "bob", pageSize: 3, pageToken }, AUDITOR);
      assert.ok(page.recordings.length <= 3);
      listed.push(
        ...page.recordings.map(({ id, startedAt, sizeBytes }) => ({ id, at: startedAt?.getTime() ?? 0, size: sizeBytes })),
      );
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.deepEqual(listed.map(({ id }) => id).sort(), [...ids].sort());
    assert.deepEqual(
      listed,
      [...listed].sort((left, right) => right.at - left.at || (left.id < right.id ? 1 : -1)),
    );
    assert.deepEqual(listed.map(({ size }) => size).sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await rejects(server.handlers.listRecordings({ user: "", pageSize: 3, pageToken: "eHg" }, AUDITOR), "INVALID_ARGUMENT");
    await rejects(server.handlers.listRecordings({ user: "", pageSize: 1001, pageToken: "" }, AUDITOR), "INVALID_ARGUMENT");
  });

  test("notes who downloads a recording", async () => {
    const id = await record("what was shown");
    const pieces: Buffer[] = [];
    for await (const { data } of server.handlers.downloadRecording({ id }, AUDITOR)) pieces.push(data);
    assert.equal(String(Buffer.concat(pieces)), "what was shown");
    const event = server.opened.audits.at(-1);
    assert.deepEqual(
      [event?.type, event?.userName, event?.clientIp, event?.resourceName, event?.metadata],
      ["recording.downloaded", "eve", "192.0.2.7", id, { recorded_session: id, recorded_user: "alice", node: "web-01" }],
    );
  });

  test("notes nothing when there is no such recording", async () => {
    const before = server.opened.audits.length;
    const download = async (id: string) => {
      for await (const _piece of server.handlers.downloadRecording({ id }, AUDITOR)) assert.fail("bytes of nothing");
    };
    await rejects(download(randomUUID()), "NOT_FOUND");
    await rejects(download("../x"), "NOT_FOUND");
    assert.equal(server.opened.audits.length, before);
  });
});

// --- internal ---

async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error) => isMezError(error, code));
}
