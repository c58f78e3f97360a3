import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { downloadRecording } from "./download-command.js";
import { listRecordings } from "./list-command.js";

const ID = randomUUID();

/** A context over a server whose recording breaks off after `pieces` when `broken`. */
function contextOf(pieces: readonly string[], broken = false) {
  const stdout = new PassThrough();
  const notes: string[] = [];
  const client = {
    getRecordingSeal: async () => ({ statement: "", signature: "", trustedKeys: [], formerKeys: [] }),
    async *downloadRecording() {
      for (const piece of pieces) yield { data: Buffer.from(piece) };
      if (broken) throw new MezError("UNAVAILABLE", "the connection broke");
    },
  };
  const output = { note: (note: string) => void notes.push(note) };
  const context = { rpc: async () => client, output, stdout, signal: new AbortController().signal } as unknown as CommandContext;
  return { context, stdout, notes };
}

async function makeFolder(t: { after(work: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mezite-download-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test("download writes a file that only its owner can read", async (t) => {
  const folder = await makeFolder(t);
  const out = join(folder, "session.cast");
  await writeFile(out, "an older download");
  const { context, notes } = contextOf(["a", "bc"]);
  await downloadRecording(context, ID, out);
  assert.equal(await readFile(out, "utf8"), "abc");
  assert.equal((await stat(out)).mode & 0o777, 0o600);
  assert.match(notes[0] ?? "", /wrote .*session\.cast, 3 bytes/);
});

test("download leaves nothing behind when the connection breaks", async (t) => {
  const folder = await makeFolder(t);
  const { context } = contextOf(["a"], true);
  await assert.rejects(downloadRecording(context, ID, join(folder, "session.cast")), (error) => isMezError(error, "UNAVAILABLE"));
  assert.deepEqual(await readdir(folder), []);
});

test("download says that the file cannot be written", async (t) => {
  const folder = await makeFolder(t);
  const { context } = contextOf(["a"]);
  const out = join(folder, "nowhere", "session.cast");
  await assert.rejects(downloadRecording(context, ID, out), (error) => isMezError(error, "STORAGE_UNWRITABLE"));
});

test("download writes to standard output and leaves it open", async () => {
  const { context, stdout, notes } = contextOf(["a", "bc"]);
  await downloadRecording(context, ID, "-");
  stdout.end("d");
  assert.equal(await text(stdout), "abcd");
  assert.match(notes.join(), /^unsealed: /);
});

for (const [limit, total, sizes, noted] of [
  [100, 30, [100], false],
  [100, 500, [100], true],
  [1200, 1000, [500, 500, 200], false],
] as const) {
  test(`ls --limit=${limit} of ${total} recordings asks for pages of ${sizes.join(", ")}`, async () => {
    const asked: number[] = [];
    const notes: string[] = [];
    let shown = 0;
    const client = {
      async listRecordings({ pageSize, pageToken }: { pageSize: number; pageToken: string }) {
        asked.push(pageSize);
        const end = Math.min(total, Number(pageToken) + pageSize);
        const recordings = Array.from({ length: end - Number(pageToken) }, () => ({}));
        return { recordings, nextPageToken: end < total || (end === total && asked.length < sizes.length) ? String(end) : "" };
      },
    };
    const output = {
      async rows(rows: readonly unknown[]) {
        shown = rows.length;
      },
      note: (note: string) => notes.push(note),
    };
    const context = { rpc: async () => client, output, signal: new AbortController().signal } as unknown as CommandContext;
    await listRecordings(context, { user: undefined, contains: undefined, limit });
    assert.deepEqual(asked, sizes);
    assert.equal(shown, Math.min(limit, total));
    assert.equal(notes.length > 0, noted);
  });
}
