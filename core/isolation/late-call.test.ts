import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../../test/fixtures/eventually.js";
import { IsolationBed } from "../../test/fixtures/isolated-plugin.js";
import { packageFiles, writePackage } from "../../test/fixtures/package.js";
import { isMezError } from "../errors/error.js";
import type { KeyBackend } from "../ports/key-backend.js";

describe("an isolated plugin", () => {
  let bed: IsolationBed;
  before(() => {
    bed = new IsolationBed();
  });
  after(() => bed.close());

  /** A key backend whose `sign` does `body`, unless it is asked for something fine. */
  async function started(id: string, body: string) {
    const code = `const { KEY_BACKEND } = require("mezite/plugin");
      module.exports = { register(host) { host.implement(KEY_BACKEND, "x", () => ({
        async sign(handle) { if (handle !== "fine") ${body} return Buffer.alloc(64, 1); },
        async generate() { return {}; }, async destroy() {} })) } };`;
    const files = packageFiles(id, code, { implements: [{ port: "key-backend", name: "x" }] });
    const made = await bed.make<KeyBackend>(writePackage(join(bed.folder, "packages", id), files));
    await made.lifecycle.start();
    return made;
  }

  test("that answers nothing any more fails its calls when their time is over, and is ended and started again", async () => {
    const { implementation, health } = await started("hangs", "for (;;);");
    await assert.rejects(
      implementation.sign("hang", Buffer.alloc(1)),
      (error) => isMezError(error, "TIMEOUT") && /did not answer sign\(\) within 10 s/.test(error.message),
    );
    await eventually(() => health()?.restarts === 1 && health()?.state === "running");
    assert.match(health()?.lastFailure ?? "", /it answered nothing for 10 s/);
    assert.equal((await implementation.sign("fine", Buffer.alloc(1))).length, 64);
  });

  test("one of whose calls is late is not ended while it answers, though the server itself stands still", async () => {
    const { implementation, health } = await started("late", "await new Promise(() => {});");
    await assert.rejects(implementation.sign("never", Buffer.alloc(1)), (error) => isMezError(error, "TIMEOUT"));
    await new Promise((resolve) => setImmediate(resolve)); // what is due comes before what has arrived
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6_000);
    assert.equal((await implementation.sign("fine", Buffer.alloc(1))).length, 64);
    assert.equal(health()?.restarts, 0);
  });
});
