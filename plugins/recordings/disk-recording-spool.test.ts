import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isMezError, MezError } from "../../core/errors/error.js";
import { openRecordingServer, type RecordingServer } from "../../test/fixtures/recording-server.js";
import { CHANNEL, makeSpool } from "../../test/fixtures/recording-writer.js";
import type { DiskRecordingSpool } from "./disk-recording-spool.js";
import type { RecordingClient } from "./recording-upload.js";

describe("recordings on a node", () => {
  let server: RecordingServer;
  let folder: string;
  const folders: string[] = [];
  const spools: DiskRecordingSpool[] = [];

  before(async () => {
    server = await openRecordingServer();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mezite-spool-"));
    folders.push(folder);
  });
  after(async () => {
    for (const spool of spools) await spool.dispose();
    await server.close();
    for (const path of folders) await rm(path, { recursive: true });
  });

  async function start(
    client: RecordingClient = server.clientOf("web-01"),
    processId = "1",
    limit = 0,
  ): Promise<DiskRecordingSpool> {
    const spool = makeSpool(folder, () => client, processId, limit);
    spools.push(spool);
    await spool.start();
    return spool;
  }

  const list = () => server.service.list({}, 1000);

  async function ended(id: string) {
    for (;;) {
      const recording = (await list()).find((each) => each.id === id);
      if (recording !== undefined && recording.endedAt !== null) return recording;
      await delay(5);
    }
  }

  for (const [what, processId, asked] of [
    ["a recording that begins here is sent without asking what is held of it", "1", 0],
    ["what is held of a recording of an earlier process is asked for", "2", 1],
  ] as const)
    test(what, async () => {
      let questions = 0;
      const client: RecordingClient = {
        ...server.clientOf("web-01"),
        getRecordingSize: (...call) => {
          questions += 1;
          return server.clientOf("web-01").getRecordingSize(...call);
        },
      };
      const sessionId = randomUUID();
      const first = await start(processId === "1" ? client : UNREACHABLE);
      const writer = await first.open({ ...CHANNEL, sessionId, startedAt: new Date() });
      writer.output(Buffer.from("$ "));
      await writer.close();
      if (processId !== "1") {
        await first.dispose();
        await start(client, processId);
      }
      assert.equal((await ended(sessionId)).state, "complete");
      assert.equal(questions, asked);
    });

  test("sends a recording while it grows, completes it at its end and then forgets it", async () => {
    const spool = await start();
    const sessionId = randomUUID();
    const writer = await spool.open({ ...CHANNEL, sessionId, startedAt: new Date() });
    assert.equal(statSync(join(folder, `${sessionId}.cast`)).mode & 0o777, 0o600);
    writer.output(Buffer.from("$ "));
    while (!server.store.bytes(sessionId)?.includes('"$ "')) await delay(5);
    assert.equal((await list()).find(({ id }) => id === sessionId)?.state, "recording");
    writer.resize(120, 40);
    writer.output(Buffer.from("exit\r\n"));
    await Promise.all([writer.close(), writer.close()]);
    const recording = await ended(sessionId);
    assert.equal(recording.state, "complete");
    assert.equal(recording.sizeBytes, server.store.bytes(sessionId)?.length);
    assert.match(
      String(server.store.bytes(sessionId)),
      /^\{"version":2,"width":100,"height":30,.*"title":"alice: deploy@web-01"/,
    );
    assert.deepEqual(
      eventsOf(server.store.bytes(sessionId) as Buffer).map(([, code, data]) => [code, data]),
      [
        ["o", "$ "],
        ["r", "120x40"],
        ["o", "exit\r\n"],
      ],
    );
    while (readdirSync(folder).length > 0) await delay(5);
  });

  test("names later channels after the session, and records none of them twice", async () => {
    const spool = await start();
    const sessionId = randomUUID();
    const channel = { ...CHANNEL, sessionId, startedAt: new Date() };
    const writers = [await spool.open(channel), await spool.open({ ...channel, channel: 1, command: "uptime" })];
    await assert.rejects(spool.open(channel), (error) => isMezError(error, "ALREADY_EXISTS"));
    for (const writer of writers) await writer.close();
    assert.equal((await ended(`${sessionId}.1`)).command, "uptime");
    assert.equal((await ended(sessionId)).command, "");
  });

  test("keeps what the auth service cannot take, in order, until it can", async () => {
    const client = server.clientOf("web-01");
    let calls = 0;
    const flaky: RecordingClient = {
      ...client,
      async appendRecording(request) {
        calls += 1;
        const answer = calls % 2 === 0 ? await client.appendRecording(request) : undefined;
        // Every second answer is lost after the bytes were stored, every first call never arrives.
        if (answer === undefined || calls % 4 === 0) throw new MezError("UNAVAILABLE", "the connection broke");
        return answer;
      },
    };
    const spool = await start(flaky);
    const sessionId = randomUUID();
    const writer = await spool.open({ ...CHANNEL, sessionId, startedAt: new Date() });
    const text = "0123456789abcdef".repeat(40_000);
    writer.output(Buffer.from(text));
    await writer.close();
    await ended(sessionId);
    assert.ok(calls > 4);
    assert.equal(textOf(server.store.bytes(sessionId) as Buffer), text);
  });

  test("waits for room where recordings are kept, without holding up the others", async () => {
    const client = server.clientOf("web-01");
    const [full, fine] = [randomUUID(), randomUUID()];
    let refusals = 0;
    const spool = await start({
      ...client,
      async appendRecording(request) {
        if (request.id === full && ++refusals < 3) throw new MezError("STORAGE_FULL", "the disk is full");
        return client.appendRecording(request);
      },
    });
    for (const sessionId of [full, fine]) await (await spool.open({ ...CHANNEL, sessionId, startedAt: new Date() })).close();
    await ended(fine);
    await ended(full);
    assert.ok(refusals >= 3);
  });

  test("says where the output of a command was cut, and records a terminal whole", async () => {
    const spool = await start(undefined, "1", 10);
    const [exec, shell] = [randomUUID(), randomUUID()];
    for (const [sessionId, terminal] of [
      [exec, null],
      [shell, "xterm"],
    ] as const) {
      const writer = await spool.open({ ...CHANNEL, sessionId, terminal, startedAt: new Date() });
      for (let turn = 0; turn < 4; turn += 1) writer.output(Buffer.from("abcd"));
      await writer.close();
      await ended(sessionId);
    }
    assert.equal(
      textOf(server.store.bytes(exec) as Buffer),
      "abcdabcdab\r\n[mezite records the first 10 bytes of a command's output]\r\n",
    );
    assert.equal(textOf(server.store.bytes(shell) as Buffer), "abcdabcdabcdabcd");
  });

  test("uploads what a killed process captured", async () => {
    const written: number[] = [];
    const child = recordInChild(folder);
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      written.push(Number(line));
      if (written.length === 5000) child.kill("SIGKILL");
    }
    const id = readdirSync(folder)
      .find((file) => file.endsWith(".cast"))
      ?.slice(0, -".cast".length) as string;
    await appendFile(join(folder, `${id}.cast`), '[9.5,"o","half a li');
    await start(undefined, "2");
    const recording = await ended(id);
    assert.equal(recording.state, "interrupted");
    const shown = textOf(server.store.bytes(id) as Buffer).match(/line \d+ größer\r\n/g) as string[];
    // Each is recorded before it is told of; the last one may not have been.
    assert.ok(shown.length > 1000 && shown.length <= written.length + 1, `${shown.length} lines of ${written.length}`);
    assert.ok(shown.every((line, index) => line === `line ${index} größer\r\n`));
    while (readdirSync(folder).length > 0) await delay(5);
  });

  test("goes on where an earlier process came to", async () => {
    const client = server.clientOf("web-01");
    const sessionId = randomUUID();
    const first = await start({
      ...client,
      completeRecording: async () => {
        throw new MezError("UNAVAILABLE", "gone");
      },
    });
    const writer = await first.open({ ...CHANNEL, sessionId, startedAt: new Date() });
    writer.output(Buffer.from("x".repeat(1_000_000)));
    await writer.close();
    while ((await server.store.size(sessionId)) < 1_000_000) await delay(5);
    await first.dispose();
    const offsets: number[] = [];
    await start(
      {
        ...client,
        appendRecording: (request) => {
          offsets.push(request.offset);
          return client.appendRecording(request);
        },
      },
      "2",
    );
    assert.equal((await ended(sessionId)).state, "complete");
    assert.deepEqual(offsets, []);
  });

  test("leaves a recording of its own process alone that another instance is writing", async () => {
    const first = await start();
    const sessionId = randomUUID();
    const writer = await first.open({ ...CHANNEL, sessionId, startedAt: new Date() });
    await start();
    writer.output(Buffer.from("still going"));
    while (!server.store.bytes(sessionId)?.includes("still going")) await delay(5);
    await delay(200);
    assert.equal((await list()).find(({ id }) => id === sessionId)?.state, "recording");
    await writer.close();
    assert.equal((await ended(sessionId)).state, "complete");
    assert.equal(textOf(server.store.bytes(sessionId) as Buffer), "still going");
  });

  test("notes the end of a recording that is closed after its plugin was disposed", async () => {
    const first = await start();
    const sessionId = randomUUID();
    const writer = await first.open({ ...CHANNEL, sessionId, startedAt: new Date() });
    writer.output(Buffer.from("until the end"));
    await first.dispose();
    await writer.close();
    await start();
    assert.equal((await ended(sessionId)).state, "complete");
    assert.equal(textOf(server.store.bytes(sessionId) as Buffer), "until the end");
  });

  test("keeps its plugin until a recording is uploaded, but not for an auth service that is away", async () => {
    const leases = { held: 0 };
    let isAway = true;
    const client = server.clientOf("web-01");
    const reach = (): RecordingClient => {
      if (isAway) throw new MezError("UNAVAILABLE", "gone");
      return client;
    };
    const spool = makeSpool(folder, reach, "1", 0, leases);
    spools.push(spool);
    await spool.start();
    const [first, second] = [randomUUID(), randomUUID()];
    await (await spool.open({ ...CHANNEL, sessionId: first, startedAt: new Date() })).close();
    await delay(50);
    assert.equal(leases.held, 1);
    isAway = false;
    await ended(first);
    while (leases.held > 0) await delay(1);
    isAway = true;
    await (await spool.open({ ...CHANNEL, sessionId: second, startedAt: new Date() })).close();
    await spool.drain();
    while (leases.held > 0) await delay(1);
    assert.ok(readdirSync(folder).includes(`${second}.cast`));
  });

  test("tells once that the disk is full, and uploads whole lines of what it has", async () => {
    const said: string[] = [];
    const child = recordInChild(folder, "trap '' XFSZ; ulimit -f 64;");
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) said.push(line);
    assert.equal(child.exitCode ?? (await once(child, "exit"))[0], 0);
    assert.deepEqual(
      said.filter((line) => line.startsWith("failed")),
      ["failed STORAGE_FULL"],
    );
    const id = readdirSync(folder)
      .find((file) => file.endsWith(".cast"))
      ?.slice(0, -".cast".length) as string;
    assert.ok(readFileSync(join(folder, `${id}.cast`)).at(-1) === 0x0a);
    await start(undefined, "2");
    assert.equal((await ended(id)).state, "interrupted");
    assert.match(textOf(server.store.bytes(id) as Buffer), /^line 0 größer\r\nline 1 /);
  });
});

// --- internal ---

const unavailable = (): never => {
  throw new MezError("UNAVAILABLE", "there is no auth service here");
};
const UNREACHABLE: RecordingClient = {
  appendRecording: unavailable,
  getRecordingSize: unavailable,
  completeRecording: unavailable,
};

function recordInChild(folder: string, before = ""): ChildProcess {
  const script = fileURLToPath(new URL("../../test/fixtures/recording-writer.js", import.meta.url));
  const command = `${before} exec "$0" --import reflect-metadata "$1" "$2"`;
  return spawn("/bin/sh", ["-c", command, process.execPath, script, folder], { stdio: ["ignore", "pipe", "inherit"] });
}

function linesOf(cast: Buffer): readonly unknown[] {
  assert.equal(cast.at(-1), 0x0a);
  return cast
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

function eventsOf(cast: Buffer): readonly (readonly [number, string, string])[] {
  return linesOf(cast).slice(1) as [number, string, string][];
}

function textOf(cast: Buffer): string {
  return eventsOf(cast)
    .map(([, code, data]) => (code === "o" ? data : ""))
    .join("");
}
