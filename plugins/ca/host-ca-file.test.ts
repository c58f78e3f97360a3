import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LiveCollection } from "../../core/events/collections.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { TrustBundle } from "./api.js";
import { HostCaFile } from "./host-ca-file.js";

test("keeps the file in step with the Host CA until it is disposed", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-ca-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const keys = new LiveCollection();
  const written = () => readFileSync(join(folder, "host-ca.pem"), "utf8");
  const file = new HostCaFile(folder, keys as unknown as Collection<TrustBundle>);
  keys.set("host", { sshPublicKeys: [], certificatesPem: ["first\n"] });
  await file.start();
  assert.equal(written(), "first\n");
  keys.set("user", { sshPublicKeys: [], certificatesPem: ["user\n"] });
  assert.equal(written(), "first\n");
  keys.set("host", { sshPublicKeys: [], certificatesPem: ["second\n", "first\n"] });
  assert.equal(written(), "second\nfirst\n");
  await file.dispose();
  keys.set("host", { sshPublicKeys: [], certificatesPem: ["third\n"] });
  assert.equal(written(), "second\nfirst\n");
});
