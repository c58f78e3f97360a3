import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { needsPeers } from "../peers/require-peer.js";
import { pluginsForBucket, type RunningS3rver, startS3rver } from "../peers/s3rver.js";

interface ShownRecording {
  readonly id: string;
  readonly state: string;
  readonly command: string;
}

describe("recordings in a bucket", needsPeers("ssh"), () => {
  let server: RunningS3rver;
  let cluster: Cluster;
  before(async () => {
    server = await startS3rver();
    cluster = await Cluster.start({ node: "apart", config: { plugins: pluginsForBucket(server) } });
  });
  after(async () => {
    await cluster?.stop();
    await server?.close();
  });

  test("a recording ends in the bucket, and is played from there", async () => {
    assert.equal(cluster.ssh([target(), "echo kept in a bucket"]).code, 0);
    const { id } = await eventually(() =>
      recordings().find(({ state, command }) => state === "complete" && command.includes("kept in a bucket")),
    );
    assert.match(cluster.mshOk(["play", id]), /kept in a bucket/);
    await eventually(() => readdirSync(join(cluster.dataDirectory, "recordings-s3")).length === 0);
  });

  test("while the store is down sessions go on and can be played; when it is back all of it goes there", async () => {
    await eventually(() => recordings().every(({ state }) => state === "complete"));
    const before = recordings().length;
    await server.pause();
    for (const word of ["one", "two", "three"]) assert.equal(cluster.ssh([target(), `echo said ${word}`]).code, 0);
    await eventually(() => recordings().length === before + 3);
    const waiting = recordings().filter(({ state }) => state === "recording");
    assert.equal(waiting.length, 3);
    for (const { id } of waiting) await eventually(() => /said/.test(cluster.mshOk(["play", id])));
    await server.resume();
    await eventually(() => recordings().every(({ state }) => state === "complete"));
    for (const { id } of waiting) assert.match(cluster.mshOk(["play", id]), /said (one|two|three)/);
    await eventually(() => readdirSync(join(cluster.dataDirectory, "recordings-s3")).length === 0);
  });

  for (const [what, change, message] of [
    [
      "a bucket that does not exist",
      { bucket: "missing-bucket" },
      /bucket "missing-bucket" at http:\/\/127\.0\.0\.1:\d+ cannot be used: it does not exist/,
    ],
    [
      "an access key that nobody knows",
      { access_key_id: "NOBODY" },
      /bucket "rec" at .* cannot be used: its owner does not know the access key/,
    ],
  ] as const) {
    test(`${what} stops the start with one line that says so`, async (t) => {
      const { code, stderr } = startWith(t, cluster, { ...pluginsForBucket(server).s3.config, ...change });
      assert.equal(code, 9);
      assert.match(stderr.trim().split("\n").at(-1) ?? "", message);
    });
  }

  function target(): string {
    return `${cluster.login}@${cluster.nodeName}`;
  }

  function recordings(): readonly ShownRecording[] {
    return JSON.parse(cluster.mezctlOk(["recordings", "ls", "--format=json"])) as ShownRecording[];
  }
});

// --- internal ---

/** Runs an auth service of its own, which has to end by itself. */
function startWith(t: { after(work: () => void): void }, cluster: Cluster, config: Readonly<Record<string, unknown>>) {
  const folder = mkdtempSync(join(tmpdir(), "mezite-s3-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "data"), { mode: 0o700 });
  const file = join(folder, "mezite.yaml");
  const tree = {
    data_dir: join(folder, "data"),
    auth: { listen_addr: "127.0.0.1:0" },
    plugins: { s3: { config }, "recording.s3": {} },
  };
  writeFileSync(file, JSON.stringify(tree));
  return cluster.mezd(["auth", `--config=${file}`], {
    env: { MEZITE_DATA_DIR: join(folder, "data") },
  });
}
