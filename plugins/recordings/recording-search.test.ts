import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { callOf, openRecordingServer, type RecordingServer } from "../../test/fixtures/recording-server.js";
import { RecordingRecord } from "./recording-repository.js";

const AUDITOR = callOf({
  ...{ kind: "user", name: "eve", roles: ["auditor"], sessionId: "s1", mustChangePassword: false },
  traits: { internal: {}, external: {} },
});

describe("searching recordings", () => {
  let server: RecordingServer;
  let count = 0;
  before(async () => {
    server = await openRecordingServer(1024 * 1024);
  });
  after(() => server.close());

  async function grow(pieces: readonly string[], user = "alice"): Promise<{ readonly id: string; readonly sizeBytes: number }> {
    const id = randomUUID();
    count += 1;
    const startedAt = new Date(1_800_000_000_000 + count);
    const description = { sessionId: id, channel: 0, user, login: "deploy", node: "web-01", command: "", startedAt };
    const events = pieces.map((piece, index) => `${JSON.stringify([index / 10, "o", piece])}\n`);
    const cast = Buffer.from(`{"version":2,"width":80,"height":24,"title":"in the header"}\n${events.join("")}`);
    for (let offset = 0; offset < cast.length; offset += 200_000) {
      const data = cast.subarray(offset, offset + 200_000);
      await server.clientOf("web-01").appendRecording({ id, offset, data, description });
    }
    return { id, sizeBytes: cast.length };
  }

  async function record(pieces: readonly string[], user?: string): Promise<string> {
    const { id, sizeBytes } = await grow(pieces, user);
    await server.clientOf("web-01").completeRecording({ id, endedAt: new Date(), sizeBytes, interrupted: false });
    return id;
  }

  async function indexed(): Promise<void> {
    server.index.wake();
    await server.index.idle();
  }

  async function search(contains: string, user = ""): Promise<{ found: string[]; unsearched: string[] }> {
    const answer: { found: string[]; unsearched: string[] } = { found: [], unsearched: [] };
    for await (const { recording, unsearched } of server.handlers.searchRecordings({ contains, user }, AUDITOR))
      answer[unsearched ? "unsearched" : "found"].push(recording?.id ?? "");
    return answer;
  }

  for (const [what, wait] of [
    ["while they grow", "growing"],
    ["before their text is kept", "complete"],
    ["after their text is kept", "indexed"],
  ] as const) {
    test(`finds what was shown in recordings ${what}, in whatever case and however it came`, async () => {
      const mark = `m${count}`;
      const pieces = ["$ \x1b[1mr", "", `M\x1b[0m -Rf /srv/${mark} `, "GRÖSSE (100%_\\)'; drop\r\nnext"];
      const id = wait === "growing" ? (await grow(pieces)).id : await record(pieces);
      await record(["something else"]);
      if (wait === "indexed") await indexed();
      for (const text of [`rm -rf /srv/${mark}`, `RF /SRV/${mark}`, `${mark} größe`, `${mark} gro\u0308sse (100%_\\)'; drop`])
        assert.deepEqual(
          await search(text),
          text.includes("größe") ? { found: [], unsearched: [] } : { found: [id], unsearched: [] },
        );
      for (const text of [`${mark}.*`, `%${mark}%x`, `${mark} größe x`, "in the header"])
        assert.deepEqual((await search(text)).found, []);
    });
  }

  test("lists newest first, of one user, past the first page", async () => {
    const ids: string[] = [];
    for (let turn = 0; turn < 105; turn += 1) ids.unshift(await record(["needle one"], turn % 2 === 0 ? "bob" : "carol"));
    await indexed();
    assert.deepEqual((await search("needle one")).found, ids);
    assert.deepEqual(
      (await search("needle one", "carol")).found,
      ids.filter((_, index) => index % 2 === 1),
    );
  });

  test("finds text where two parts of what is kept meet, and in recordings too large to be kept", async () => {
    const filler = "filler of a line\r\n".repeat(20_000);
    for (const shift of [0, 3, 7]) {
      const size = 256 * 1024;
      const before = filler
        .replaceAll("\r", "")
        .slice(0, size - 10 - shift)
        .replaceAll("\n", "\r\n");
      const id = await record([before.slice(0, 100_000), before.slice(100_000), `<boundary ${shift}>\r\n`, filler]);
      await indexed();
      assert.deepEqual((await search(`<boundary ${shift}>`)).found, [id]);
    }
    const large = await record([...Array.from({ length: 5 }, () => filler), "at the very end"]);
    await indexed();
    const row = await server.opened.database.read((em) => em.findOne(RecordingRecord, { id: large }));
    assert.equal(row?.textState, "left out");
    assert.deepEqual((await search("at the very end")).found, [large]);
  });

  test("says which recordings could not be read, and goes on", async () => {
    const lost = await record(["lost and found"]);
    const kept = await record(["lost and found"]);
    await server.store.delete(lost);
    const size = server.store.size.bind(server.store);
    server.store.size = async (id) => (id === lost ? 5 : size(id));
    await indexed();
    assert.deepEqual(await search("lost and found"), { found: [kept], unsearched: [lost] });
  });

  test("makes nothing of what is no recording", async () => {
    const garbage = `[1,"o"\n[[[[[\n{"o":1}\n[1,"i","secret input"]\n[1,"o",7]\n[1,"o","shown after garbage"]`;
    const { id } = await grow([]);
    await server.clientOf("web-01").appendRecording({
      ...{ id, offset: await server.store.size(id), data: Buffer.from(garbage), description: undefined },
    });
    assert.deepEqual((await search("shown after garbage")).found, [id]);
    assert.deepEqual((await search("secret input")).found, []);
  });

  for (const text of ["", "   ", "x".repeat(201), "two\nlines", "\x1b[1m"]) {
    test(`refuses to search for ${JSON.stringify(text.slice(0, 20))}`, async () => {
      await assert.rejects(search(text), (error) => isMezError(error, "INVALID_ARGUMENT"));
    });
  }

  test("notes who searched for what", async () => {
    await search("Password", "alice");
    const event = server.opened.audits.at(-1);
    assert.deepEqual(
      [event?.type, event?.userName, event?.clientIp, event?.metadata],
      ["recording.searched", "eve", "192.0.2.7", { contains: "password", recorded_user: "alice" }],
    );
  });
});
