import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { testAuditForwarder } from "../../../test/contracts/audit-forwarder.js";
import { needsPeers, requirePeer } from "../../../test/peers/require-peer.js";
import { FileForwarder } from "./file-forwarder.js";

const events = (...seqs: readonly number[]) =>
  seqs.map((seq) => ({
    ...{ seq, id: String(seq), type: "user.login", code: "MZ1000", timestamp: new Date(0), success: true },
    json: `{"seq":${seq}}`,
  }));

testAuditForwarder("file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-forward-"));
  const [place, gone] = [join(folder, "logs"), join(folder, "gone")];
  mkdirSync(place);
  const path = join(place, "audit.log");
  const forwarder = new FileForwarder(path);
  return {
    forwarder,
    received: () => (existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []).map((line) => JSON.parse(line)),
    away: async () => renameSync(place, gone),
    back: async () => renameSync(gone, place),
    close: async () => {
      await forwarder.dispose();
      rmSync(folder, { recursive: true });
    },
  };
});

suite("audit events in a file", () => {
  let folder: string;
  let path: string;
  let forwarder: FileForwarder;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mezite-forward-"));
    path = join(folder, "audit.log");
    forwarder = new FileForwarder(path);
  });
  afterEach(async () => {
    await forwarder.dispose();
    rmSync(folder, { recursive: true });
  });

  const seqsOf = (file: string) =>
    readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { seq: number }).seq);

  test("appends a line for each, in a file that others cannot read", async () => {
    await forwarder.deliver(events(1, 2));
    await forwarder.deliver(events(3));
    assert.deepEqual(seqsOf(path), [1, 2, 3]);
    assert.equal(statSync(path).mode & 0o777 & ~0o640, 0);
  });

  test("goes on in a new file after the old one was renamed or truncated", async () => {
    await forwarder.deliver(events(1));
    renameSync(path, `${path}.1`);
    await forwarder.deliver(events(2));
    assert.deepEqual([seqsOf(`${path}.1`), seqsOf(path)], [[1], [2]]);
    truncateSync(path);
    await forwarder.deliver(events(3));
    assert.deepEqual(seqsOf(path), [3]);
    rmSync(path);
    await forwarder.deliver(events(4));
    assert.deepEqual(seqsOf(path), [4]);
  });

  test("logrotate takes nothing away", needsPeers("logrotate"), async () => {
    const config = join(folder, "logrotate.conf");
    writeFileSync(config, `${path} {\n  rotate 9\n  missingok\n}\n`, { mode: 0o600 });
    for (let seq = 1; seq <= 5; seq += 1) {
      await forwarder.deliver(events(seq));
      execFileSync(requirePeer("logrotate"), ["--force", "--state", join(folder, "state"), config], { stdio: "pipe" });
    }
    assert.deepEqual(
      [5, 4, 3, 2, 1].flatMap((number) => seqsOf(`${path}.${number}`)),
      [1, 2, 3, 4, 5],
    );
  });

  test("a line that was cut short spoils none after it", async () => {
    await forwarder.deliver(events(1));
    appendFileSync(path, '{"seq":');
    await forwarder.deliver(events(2));
    assert.equal(readFileSync(path, "utf8"), '{"seq":1}\n{"seq":\n{"seq":2}\n');
  });

  for (const [what, place, code] of [
    ["a folder that is not there", "missing/audit.log", "STORAGE_UNWRITABLE"],
    ["a full disk", "/dev/full", "STORAGE_FULL"],
  ] as const) {
    test(`says why it cannot write: ${what}`, async () => {
      if (place.startsWith("/")) assert.ok(existsSync(place));
      const other = new FileForwarder(place.startsWith("/") ? place : join(folder, place));
      await assert.rejects(other.deliver(events(1)), (error) => isMezError(error, code));
    });
  }
});
