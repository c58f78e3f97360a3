import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { openRecordingServer, type RecordingServer } from "../../test/fixtures/recording-server.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { soleServer } from "../../test/fixtures/sole-server.js";
import type { AgentSigns } from "../nodes/api.js";
import { AbandonedRecordings } from "./abandoned-recordings.js";
import { RecordingRecord } from "./recording-repository.js";
import type { SealedFacts } from "./seal.js";

const HOUR = 3_600_000;
const BEGAN = new Date("2026-03-01T00:00:00Z");
const TEXT = "what was shown\n";

describe("a recording whose recorder is silent", () => {
  let server: RecordingServer;
  before(async () => {
    server = await openRecordingServer();
  });
  after(() => server.close());

  async function begin(node: string): Promise<string> {
    const id = randomUUID();
    const description = { sessionId: id, channel: 0, user: "alice", login: "deploy", node, command: "", startedAt: BEGAN };
    await server.clientOf(node).appendRecording({ id, offset: 0, data: Buffer.from(TEXT), description });
    return id;
  }

  /** Looks so many hours after the recordings began. */
  async function look(hours: number, signs: AgentSigns | null, duties = soleServer): Promise<void> {
    server.opened.audits.length = 0;
    const { database } = server.opened;
    const clock = { now: () => new Date(BEGAN.getTime() + hours * HOUR) };
    const inventory = { signs: () => signs };
    const parts = { database, recordings: server.service, inventory, clock, duties, logger: silentLogger };
    await new AbandonedRecordings(parts).look();
  }

  const signs = (joined: number, seen: number | null): AgentSigns => ({
    joinedAt: new Date(BEGAN.getTime() + joined * HOUR),
    lastSeen: seen === null ? null : new Date(BEGAN.getTime() + seen * HOUR),
  });
  const stored = (id: string) => server.opened.database.read((em) => em.findOneOrFail(RecordingRecord, { id }));
  const audited = () => server.opened.audits.map(({ type, resourceName }) => [type, resourceName]);

  for (const [what, hours, known, isEnded] of [
    ["that was heard of within a day grows on", 100, signs(-5, 76.5), false],
    ["that has been silent for a day is ended", 100, signs(-5, 75.5), true],
    ["that was never heard of is ended a day after it joined", 19.5, signs(-5, null), false],
    ["that was deleted is ended a day after the recording began", 24.5, null, true],
    ["that was deleted grows on until then", 23.5, null, false],
    ["whose name another one has is ended a day after that joined", 100, signs(75.5, 100), true],
    ["whose name another one has grows on until then", 100, signs(76.5, 100), false],
  ] as const)
    test(`of one ${what}`, async () => {
      const id = await begin("web-01");
      await look(hours, known);
      assert.deepEqual(audited(), isEnded ? [["recording.interrupted", id]] : []);
      assert.equal((await stored(id)).state, isEnded ? "interrupted" : "recording");
      await look(hours + 24, null);
      if (isEnded) assert.deepEqual(audited(), [], "once");
    });

  test("is sealed with what has arrived of it, as it was when its recorder was last heard of", async () => {
    const id = await begin("web-01");
    await look(100, signs(-5, 50));
    const { sealStatement } = await stored(id);
    const { state, endedAt, sizeBytes } = JSON.parse(sealStatement ?? "") as SealedFacts;
    assert.deepEqual([state, endedAt, sizeBytes], ["interrupted", "2026-03-03T02:00:00.000Z", TEXT.length]);
  });

  test("goes on when its recorder comes back after all, and what that says counts", async () => {
    const id = await begin("web-02");
    await look(100, null);
    server.opened.audits.length = 0;
    const client = server.clientOf("web-02");
    assert.deepEqual(await client.getRecordingSize({ id }, {}), { sizeBytes: TEXT.length, complete: false });
    await client.appendRecording({ id, offset: TEXT.length, data: Buffer.from(TEXT) }, {});
    assert.deepEqual([(await stored(id)).state, audited()], ["recording", [["recording.resumed", id]]]);
    const end = { id, endedAt: new Date(BEGAN.getTime() + HOUR), sizeBytes: 2 * TEXT.length, interrupted: false };
    await client.completeRecording(end, {});
    const { state, sizeBytes, abandonedAt } = await stored(id);
    assert.deepEqual([state, sizeBytes, abandonedAt ?? null], ["complete", 2 * TEXT.length, null]);
    await look(1000, null);
    assert.deepEqual(audited(), []);
  });

  test("that had sent everything but its end is complete when that comes", async () => {
    const id = await begin("web-03");
    await look(100, null);
    server.opened.audits.length = 0;
    const end = { id, endedAt: new Date(BEGAN.getTime() + HOUR), sizeBytes: TEXT.length, interrupted: false };
    await server.clientOf("web-03").completeRecording(end, {});
    assert.deepEqual([(await stored(id)).state, audited()], ["complete", [["recording.resumed", id]]]);
    assert.equal((await server.clientOf("web-03").getRecordingSize({ id }, {})).complete, true);
  });

  test("is left to the one server that looks", async () => {
    const id = await begin("web-04");
    await look(100, null, { have: async () => false });
    assert.equal((await stored(id)).state, "recording");
  });
});
