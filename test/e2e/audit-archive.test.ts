import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { needsPeers } from "../peers/require-peer.js";
import { type RunningS3rver, startS3rver } from "../peers/s3rver.js";

interface ShownStatus {
  readonly last_seq: number;
  readonly archive: string;
  readonly archived_seq: number;
  readonly forwarders: readonly { readonly name: string; readonly waiting: number; readonly error: string | null }[];
}

describe("the audit archive and copies of the log", needsPeers("ssh"), () => {
  let store: RunningS3rver;
  let receiver: Server;
  let isDown = true;
  const received = new Set<number>();
  let cluster: Cluster;
  before(async () => {
    store = await startS3rver();
    receiver = createServer(async (request, response) => {
      const { events } = JSON.parse(await text(request)) as { events: { seq: number }[] };
      if (!isDown) for (const { seq } of events) received.add(seq);
      response.writeHead(isDown ? 503 : 204).end();
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const { bucket, endpoint, credentials } = store.settings;
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/events`;
    cluster = await Cluster.start({
      config: {
        plugins: {
          s3: {
            config: {
              bucket,
              endpoint,
              access_key_id: credentials?.accessKeyId,
              secret_access_key: credentials?.secretAccessKey.expose(),
            },
          },
          "forward.file": {},
          "forward.webhook": { config: { url, secret: "0123456789abcdef0123" } },
        },
      },
    });
  });
  after(async () => {
    await cluster?.stop();
    await store?.close();
    receiver?.close();
  });

  const json = <T>(args: readonly string[]): T => JSON.parse(cluster.mezctlOk([...args, "--format=json"])) as T;
  const status = () => json<ShownStatus>(["audit", "status"]);
  const verify = () => json<{ intact: boolean; checked: number; unchecked: number }>(["audit", "verify", "--archive"]);

  test("archives to the bucket; again and at the same time does no harm", async () => {
    const first = json<{ archived: number; destination: string; last_seq: number }>(["audit", "archive"]);
    assert.equal(first.destination, "s3:rec/audit/");
    assert.equal(first.archived, first.last_seq);
    cluster.mezctlOk(["users", "create", "carol", "--roles=access"]);
    const runs = await Promise.all([1, 2, 3].map(() => cluster.mezctlMeanwhile(["audit", "archive"])));
    assert.deepEqual(
      runs.map(({ code }) => code),
      [0, 0, 0],
    );
    assert.equal(verify().intact, true);
  });

  test("a store that is down is one line and an exit code, and nothing is lost", async () => {
    await store.pause();
    cluster.mezctlOk(["users", "create", "dave", "--roles=access"]);
    const { code, stderr } = cluster.mezctl(["audit", "archive"]);
    assert.notEqual(code, 0);
    assert.match(stderr.trim().split("\n").at(-1) ?? "", /bucket "rec" at .* cannot be reached/);
    await store.resume();
    assert.equal(json<{ files: number }>(["audit", "archive"]).files, 1);
    assert.equal(verify().intact, true);
  });

  test("a receiver that is down is shown, delays nobody, and gets everything when it is back, also after a crash", async () => {
    const { forwarders } = await eventually(() => {
      const shown = status();
      return shown.forwarders.some(({ error }) => error !== null) && shown;
    });
    const webhook = forwarders.find(({ name }) => name === "webhook");
    assert.match(webhook?.error ?? "", /answered 503/);
    assert.ok((webhook?.waiting ?? 0) > 0);
    await cluster.server.stop("SIGKILL");
    await cluster.startServer();
    cluster.mezctlOk(["users", "create", "erin", "--roles=access"]);
    isDown = false;
    const last = status().last_seq;
    await eventually(() => received.has(last));
    const numbers = [...received].sort((a, b) => a - b);
    assert.deepEqual(
      numbers,
      Array.from(numbers, (_, index) => (numbers[0] as number) + index),
    );
    await eventually(() => status().forwarders.every(({ error }) => error === null));
  });

  test("the file has the same events in the same order", async () => {
    const path = join(cluster.dataDirectory, "audit.log");
    await eventually(() => existsSync(path));
    const last = status().last_seq;
    const seqs = () =>
      readFileSync(path, "utf8")
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { seq: number }).seq);
    const written = await eventually(() => {
      const read = seqs();
      return read.includes(last) && read;
    });
    const unique = [...new Set(written)];
    assert.deepEqual(
      unique,
      Array.from(unique, (_, index) => (unique[0] as number) + index),
    );
  });
});

describe("the audit archive without anybody's doing", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ node: "none", config: { audit: { archive_every: "1h", archive_directory: "archive" } } });
  });
  after(() => cluster?.stop());

  test("is written into a folder of the server, and is intact", async () => {
    const status = () => JSON.parse(cluster.mezctlOk(["audit", "status", "--format=json"])) as ShownStatus;
    const { archive } = await eventually(() => {
      const shown = status();
      return shown.archived_seq > 0 && shown;
    });
    assert.match(archive, /^folder:\/.*\/archive$/);
    assert.match(cluster.mezctlOk(["audit", "verify", "--archive"]), /intact/i);
  });
});
