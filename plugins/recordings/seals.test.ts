import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, describe, test } from "node:test";
import type { ErrorCode } from "../../core/errors/codes.js";
import { isMezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { callOf, openRecordingServer, type RecordingServer } from "../../test/fixtures/recording-server.js";
import { downloadRecording } from "./download-command.js";
import { RecordingRecord } from "./recording-repository.js";
import type { SealedFacts } from "./seal.js";
import { verifyRecording } from "./verify-command.js";

const AUDITOR = callOf({
  ...{ kind: "user", name: "eve", roles: ["auditor"], sessionId: "s1", mustChangePassword: false },
  traits: { internal: {}, external: {} },
});
const TEXT = "what was shown\n";
const ENDED_AT = new Date("2026-03-01T00:10:00Z");

describe("seals of recordings", () => {
  let server: RecordingServer;
  let folder: string;
  before(async () => {
    server = await openRecordingServer();
    folder = await mkdtemp(join(tmpdir(), "mezite-seals-"));
  });
  after(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  async function grow(text = TEXT): Promise<string> {
    const id = randomUUID();
    const startedAt = new Date("2026-03-01T00:00:00Z");
    const description = { sessionId: id, channel: 0, user: "alice", login: "deploy", node: "web-01", command: "", startedAt };
    await server.clientOf("web-01").appendRecording({ id, offset: 0, data: Buffer.from(text), description });
    return id;
  }

  function complete(id: string, sizeBytes = TEXT.length, interrupted = false) {
    return server.clientOf("web-01").completeRecording({ id, endedAt: ENDED_AT, sizeBytes, interrupted });
  }

  async function sealed(): Promise<string> {
    const id = await grow();
    await complete(id);
    return id;
  }

  /** A command line that talks to the server as an auditor. */
  function commandLine(
    change: (seal: Awaited<ReturnType<typeof sealOf>>) => Awaited<ReturnType<typeof sealOf>> = (seal) => seal,
  ) {
    const notes: string[] = [];
    const stdout = new PassThrough();
    const client = {
      getRecordingSeal: async ({ id }: { id: string }) => change(await sealOf(id)),
      downloadRecording: ({ id }: { id: string }) => server.handlers.downloadRecording({ id }, AUDITOR),
    };
    const output = { note: (note: string) => void notes.push(note) };
    const context = { rpc: async () => client, output, stdout, signal: AUDITOR.signal } as unknown as CommandContext;
    return { context, notes, stdout };
  }

  function sealOf(id: string) {
    return server.handlers.getRecordingSeal({ id }, AUDITOR);
  }

  test("say what was recorded, by whom, and of which bytes", async () => {
    const id = await sealed();
    const { sealedAt, ...facts } = JSON.parse((await sealOf(id)).statement) as SealedFacts;
    assert.deepEqual(facts, {
      ...{ version: 1, cluster: "prod", id, session: id, user: "alice", login: "deploy", node: "web-01", command: "" },
      ...{ recorder: "node:web-01", startedAt: "2026-03-01T00:00:00.000Z", endedAt: "2026-03-01T00:10:00.000Z" },
      ...{ state: "complete", sizeBytes: TEXT.length, sha256: createHash("sha256").update(TEXT).digest("hex") },
    });
    assert.ok(Math.abs(Date.now() - Date.parse(sealedAt)) < 60_000);
    const listed = (await server.handlers.listRecordings({ user: "", pageSize: 100, pageToken: "" }, AUDITOR)).recordings;
    assert.equal(listed.find((each) => each.id === id)?.sealed, true);
  });

  test("let a download through that is what was sealed, and say so", async () => {
    const id = await sealed();
    const { context, notes } = commandLine();
    const out = join(folder, "good.cast");
    await downloadRecording(context, id, out);
    assert.equal(await readFile(out, "utf8"), TEXT);
    assert.match(notes[1] ?? "", /^seal verified: alice as deploy on web-01, .* by the Host CA SHA256:/);
    await verifyRecording(context, id, out);
    await writeFile(out, `${TEXT}!`);
    await rejects(verifyRecording(context, id, out), "SEAL_BROKEN");
    await rejects(verifyRecording(context, id, join(folder, "nowhere")), "NOT_FOUND");
  });

  for (const [what, change] of [
    ["a byte changed", (bytes: Buffer) => Buffer.concat([Buffer.from("W"), bytes.subarray(1)])],
    ["its end cut off", (bytes: Buffer) => bytes.subarray(0, -1)],
    ["something added", (bytes: Buffer) => Buffer.concat([bytes, Buffer.from("!")])],
    ["everything gone", () => Buffer.alloc(0)],
  ] as const) {
    test(`refuse a recording with ${what}, and write no file`, async () => {
      const id = await sealed();
      server.store.tamper(id, change);
      const { context, stdout } = commandLine();
      const files = await readdir(folder);
      await rejects(downloadRecording(context, id, join(folder, "bad.cast")), "SEAL_BROKEN");
      assert.deepEqual(await readdir(folder), files);
      stdout.resume();
      await rejects(downloadRecording(context, id, "-"), "SEAL_BROKEN");
    });
  }

  test("refuse another recording's seal, another statement, another key and no signature", async () => {
    const id = await sealed();
    const other = await sealOf(await sealed());
    const stranger = await openRecordingServer();
    const strange = await stranger.seals.seal("recording@mezite", Buffer.from((await sealOf(id)).statement));
    const misused = await server.seals.seal("former-key@mezite", Buffer.from((await sealOf(id)).statement));
    await stranger.close();
    for (const change of [
      { statement: other.statement, signature: other.signature },
      { statement: (await sealOf(id)).statement.replace("alice", "bob") },
      { signature: other.signature },
      { signature: strange },
      { signature: misused },
      { signature: "" },
      { trustedKeys: [] },
    ]) {
      const { context } = commandLine((seal) => ({ ...seal, ...change }));
      await rejects(downloadRecording(context, id, join(folder, "bad.cast")), "SEAL_BROKEN");
    }
  });

  test("stay verifiable after rotations of the Host CA", async () => {
    const ids = [await sealed()];
    for (let turn = 0; turn < 3; turn += 1) {
      await server.seals.rotate();
      ids.push(await sealed());
    }
    for (const id of ids) {
      const { context, notes } = commandLine();
      await downloadRecording(context, id, join(folder, `${id}.cast`));
      assert.match(notes[1] ?? "", /^seal verified/);
    }
  });

  test("are not there while a recording grows, nor for one from before; both are said", async () => {
    const growing = await grow();
    const old = await grow();
    await server.store.complete(old);
    const end = { state: "complete", endedAt: ENDED_AT, sizeBytes: TEXT.length };
    await server.opened.database.transaction(({ em }) => em.nativeUpdate(RecordingRecord, { id: old }, end));
    for (const [id, remark] of [
      [growing, /^unsealed: it is still growing/],
      [old, /^unsealed: it was made before/],
    ] as const) {
      const { context, notes } = commandLine();
      const out = join(folder, `${id}.cast`);
      await downloadRecording(context, id, out);
      assert.match(notes[1] ?? "", remark);
      await rejects(verifyRecording(context, id, out), "CONFLICT");
    }
  });

  test("wait for the key: the recorder keeps its copy until the recording is sealed", async () => {
    const id = await grow();
    server.seals.failNextSeal("KEY_BACKEND_UNAVAILABLE");
    await rejects(complete(id), "KEY_BACKEND_UNAVAILABLE");
    assert.deepEqual(await server.clientOf("web-01").getRecordingSize({ id }), { sizeBytes: TEXT.length, complete: false });
    await complete(id);
    assert.notEqual((await sealOf(id)).signature, "");
  });

  test("are made once, when the recorder asks twice at a time and again later", async () => {
    const id = await grow();
    await Promise.all([complete(id), complete(id)]);
    const first = await sealOf(id);
    await complete(id, TEXT.length, true);
    assert.deepEqual(await sealOf(id), first);
  });

  test("are made of a recording without bytes as well", async () => {
    const id = await grow("");
    await complete(id, 0, true);
    const facts = JSON.parse((await sealOf(id)).statement) as SealedFacts;
    assert.deepEqual([facts.sizeBytes, facts.state], [0, "interrupted"]);
  });
});

// --- internal ---

async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error) => isMezError(error, code));
}
