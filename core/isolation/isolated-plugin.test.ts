import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { testIntegration } from "../../test/contracts/integration.js";
import { testKeyBackend } from "../../test/contracts/key-backend.js";
import { testRecordingStore } from "../../test/contracts/recording-store.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { IsolationBed } from "../../test/fixtures/isolated-plugin.js";
import { packageFiles, writePackage } from "../../test/fixtures/package.js";
import { projectFile } from "../../test/fixtures/project-file.js";
import { isMezError } from "../errors/error.js";
import type { LogFields } from "../plugin/logger.js";
import type { Manifest } from "../plugin/manifest.js";
import { Secret } from "../plugin/secret.js";
import type { AuditForwarder } from "../ports/audit-forwarder.js";
import type { Integration } from "../ports/integration.js";
import type { KeyBackend } from "../ports/key-backend.js";
import type { RecordingStore } from "../ports/recording-store.js";

const RECORDINGS = fileURLToPath(projectFile("test/fixtures/packages/file-recordings"));
const LEDGER = fileURLToPath(projectFile("test/fixtures/packages/ledger-integration"));
const KEYS = fileURLToPath(projectFile("test/fixtures/packages/memory-keys"));

testRecordingStore("in a process of its own", async () => {
  const bed = new IsolationBed();
  const open = async (): Promise<RecordingStore> => {
    const { implementation, lifecycle } = await bed.make<RecordingStore>(RECORDINGS);
    await lifecycle.start();
    return implementation;
  };
  return { store: await open(), reopen: open, close: () => bed.close() };
});

testKeyBackend("in a process of its own", async () => {
  const bed = new IsolationBed();
  const { implementation, lifecycle } = await bed.make<KeyBackend>(KEYS);
  await lifecycle.start();
  return { backend: implementation, close: () => bed.close() };
});

const LEDGER_REQUEST = {
  parameters: { book: "main" },
  cluster: { name: "prod", trustDomain: "prod.example.com", issuer: "https://mezite.example.com" },
};

testIntegration("in a process of its own", async () => {
  const bed = new IsolationBed();
  const { implementation, lifecycle } = await bed.make<Integration>(LEDGER);
  await lifecycle.start();
  return { integration: implementation, good: LEDGER_REQUEST, close: () => bed.close() };
});

describe("an isolated plugin", () => {
  let bed: IsolationBed;
  before(() => {
    bed = new IsolationBed();
  });
  after(() => bed.close());

  /** A key backend whose `sign` is `body`, with `handle`, `data` and `config` to hand. */
  async function signing(
    id: string,
    body: string,
    options: Parameters<IsolationBed["make"]>[1] & { top?: string; manifest?: Partial<Manifest> } = {},
  ) {
    const code = `const { KEY_BACKEND, LOGGER, MezError } = require("mezite/plugin");
      const signature = (text) => Buffer.alloc(64, String(text));
      ${options.top ?? ""}
      module.exports = { register(host, config) { host.implement(KEY_BACKEND, "x", (resolve) => ({
        async sign(handle, data) { ${body} }, async generate() { return {}; }, async destroy() {} })) } };`;
    const manifest = { implements: [{ port: "key-backend", name: "x" }], ...options.manifest };
    const place = writePackage(join(bed.folder, "packages", id), packageFiles(id, code, manifest));
    return bed.make<KeyBackend>(place, options);
  }

  test("has no environment, no files but its own, no other processes and no code from elsewhere", async () => {
    const attempts = {
      environment: "return signature(Object.keys(process.env).length);",
      file: `require("node:fs").readFileSync("/etc/passwd"); return signature("read");`,
      write: `require("node:fs").writeFileSync("/tmp/mezite-escaped", "x"); return signature("written");`,
      program: `require("node:child_process").execFileSync("id"); return signature("run");`,
      thread: `new (require("node:worker_threads").Worker)("1", { eval: true }); return signature("thread");`,
    };
    const body = `switch (handle) { ${Object.entries(attempts)
      .map(([name, code]) => `case "${name}": { ${code} }`)
      .join(" ")} }`;
    const { implementation, lifecycle } = await signing("confined", body);
    await lifecycle.start();
    assert.equal(String(await implementation.sign("environment", Buffer.alloc(0))).slice(0, 1), "0");
    for (const name of ["file", "write", "program", "thread"])
      await assert.rejects(
        implementation.sign(name, Buffer.alloc(0)),
        (error) => isMezError(error, "INTERNAL") && /ERR_ACCESS_DENIED|restricted|permission/i.test(error.detail ?? ""),
        name,
      );
    assert.equal(existsSync("/tmp/mezite-escaped"), false);
  });

  test("gets its secrets over its own connection, and its log lines are those of the plugin", async () => {
    const lines: [string, LogFields | undefined][] = [];
    const say = (message: string, fields?: LogFields): void => void lines.push([message, fields]);
    const logger = { debug: say, info: say, warn: say, error: say };
    const { implementation, lifecycle, health } = await bed.make<KeyBackend>(KEYS, {
      config: { pin: new Secret("123456") },
      logger,
    });
    await lifecycle.start();
    await implementation.generate("ed25519");
    await eventually(() => lines.length > 0);
    assert.deepEqual(lines[0], ["making a key", { algorithm: "ed25519", pin: "[secret]", exposed: 6 }]);
    const pid = health()?.pid;
    assert.doesNotMatch(readFileSync(`/proc/${pid}/cmdline`, "utf8") + readFileSync(`/proc/${pid}/environ`, "utf8"), /123456/);
    assert.equal(realpathSync(`/proc/${pid}/cwd`).startsWith(realpathSync(bed.store.folder)), true);
    assert.deepEqual(
      readdirSync(`/proc/${pid}/fd`).filter((fd) => Number(fd) > 3 && realpathOf(`/proc/${pid}/fd/${fd}`).startsWith(bed.folder)),
      [],
    );
  });

  const CRASHES: readonly (readonly [what: string, body: string, top: string, why: RegExp])[] = [
    [
      "that throws where nobody catches",
      "setImmediate(() => { throw new Error('boom'); }); await new Promise(() => {});",
      "",
      /exit code 70: Error: boom/,
    ],
    ["that kills itself", "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});", "", /ended by SIGKILL/],
    [
      "that allocates objects without end",
      "const all = []; for (;;) all.push({ n: all.length, t: [all.length] });",
      "",
      /MiB of memory/,
    ],
    [
      "that allocates buffers without end",
      "const all = []; for (;;) { all.push(Buffer.alloc(4 << 20, 1)); await new Promise(setImmediate); }",
      "",
      /used more than 128 MiB/,
    ],
    [
      "that sends a message longer than any, bit by bit",
      "const head = Buffer.alloc(8); head.writeUInt32BE(1 << 30); require('node:fs').writeSync(3, head); await new Promise(() => {});",
      "",
      /broke the protocol: a message with \d+ bytes; at most 262144 fit/,
    ],
    [
      "that sends nonsense",
      "require('node:fs').writeSync(3, Buffer.alloc(64, 255)); await new Promise(() => {});",
      "",
      /broke the protocol/,
    ],
  ];

  for (const [index, [what, body, top, why]] of CRASHES.entries()) {
    test(`${what} fails its calls with the reason, and is started again`, async () => {
      const once = `if (handle !== "crash") return signature(1); ${body}`;
      const { implementation, lifecycle, health } = await signing(`crash-${index}`, once, { top, memoryMib: 128 });
      await lifecycle.start();
      const first = health()?.pid;
      await assert.rejects(implementation.sign("crash", Buffer.alloc(1)), (error) => {
        assert.ok(isMezError(error, "PLUGIN_UNAVAILABLE"), String(error));
        assert.match(error.message, /: its process has ended$/, "what it says is not for whoever calls");
        assert.match(error.detail ?? "", why);
        return true;
      });
      assert.match(health()?.lastFailure ?? "", why);
      assert.equal(health()?.state, "restarting");
      await assert.rejects(implementation.sign("fine", Buffer.alloc(1)), (error) => isMezError(error, "PLUGIN_UNAVAILABLE"));
      await eventually(() => health()?.state === "running");
      assert.equal((await implementation.sign("fine", Buffer.alloc(1))).length, 64);
      assert.equal(health()?.restarts, 1);
      assert.notEqual(health()?.pid, first);
    });
  }

  const ANSWERS: readonly (readonly [what: string, body: string, code: Parameters<typeof isMezError>[1], message: RegExp])[] = [
    [
      "an error of ours",
      `throw new MezError("KEY_BACKEND_UNAVAILABLE", "the token is gone")`,
      "KEY_BACKEND_UNAVAILABLE",
      /^the token is gone$/,
    ],
    ["any other error, without its text", `throw new Error("password is 123")`, "INTERNAL", /^plugin "answers-1" failed$/],
    ["an answer of another kind", `return "no signature"`, "PLUGIN_UNAVAILABLE", /something else than it should/],
    ["an answer that cannot be sent", "return () => 1", "INVALID_ARGUMENT", /cannot be sent/],
    ["an answer with too many bytes", "return Buffer.alloc(65 << 10)", "LIMIT_EXCEEDED", /66560 bytes; at most 65536 fit/],
    ["an answer with too much text", "return 'a'.repeat(1 << 20)", "LIMIT_EXCEEDED", /at most 524288 fit/],
    [
      "an error that is too long, cut",
      "throw new MezError('CONFLICT', 'a'.repeat(1 << 20), { fields: Object.fromEntries(Array.from({ length: 999 }, (_, n) => ['f' + n, 'a'.repeat(9999)])) })",
      "CONFLICT",
      /^a{1000}$/,
    ],
  ];

  for (const [index, [what, body, code, message]] of ANSWERS.entries()) {
    test(`tells the caller of ${what}, and goes on`, async () => {
      const { implementation, lifecycle, health } = await signing(
        `answers-${index}`,
        `if (handle === "ok") return signature(1); ${body}`,
      );
      await lifecycle.start();
      await assert.rejects(
        implementation.sign("x", Buffer.alloc(1)),
        (error) => isMezError(error, code as never) && message.test(error.message),
      );
      await implementation.sign("ok", Buffer.alloc(1));
      assert.equal(health()?.restarts, 0);
    });
  }

  test("whose plan is none fails the call; while its process is away it says neither what it is nor what it takes", async () => {
    const { implementation, lifecycle, health } = await bed.make<Integration>(LEDGER);
    await lifecycle.start();
    const plan = (book: string) => implementation.plan({ ...LEDGER_REQUEST, parameters: { book } }, AbortSignal.timeout(60_000));
    await assert.rejects(
      plan("lies"),
      (error) => isMezError(error, "PLUGIN_UNAVAILABLE") && /else than it should/.test(error.message),
    );
    await assert.rejects(plan("dies"), (error) => isMezError(error, "PLUGIN_UNAVAILABLE"));
    assert.deepEqual([implementation.summary, implementation.parameters], [undefined, undefined]);
    await eventually(() => health()?.state === "running");
    assert.equal(implementation.summary, "A ledger believes the cluster");
    assert.equal((await plan("main")).target["book"], "main");
  });

  test("does not start when it registers something else than its manifest says", async () => {
    const { lifecycle } = await signing("liar", "", { manifest: { implements: [{ port: "key-backend", name: "other" }] } });
    await assert.rejects(
      lifecycle.start(),
      (error) => isMezError(error, "PLUGIN_MANIFEST_MISMATCH") && /key-backend\/other/.test(error.message),
    );
  });

  test("that cannot register or start says why, with what it came of, in one line", async () => {
    const broken = `throw new Error("no store", { cause: new Error("disk\\n\\u001b[2J\\u202egone") })`;
    const code = (register: string, start: string): string => `const { KEY_BACKEND } = require("mezite/plugin");
      module.exports = { register(host) { ${register}; host.implement(KEY_BACKEND, "x", () => ({}));
        host.run(() => ({ async start() { ${start} } })); } };`;
    const denied = `require("node:fs").readFileSync("/etc/hostname")`;
    for (const [id, source, error, why] of [
      [
        "unregistered",
        code(broken, ""),
        "PLUGIN_REGISTER_FAILED",
        /^registering plugin "unregistered": no store: disk {2}\[2J gone$/,
      ],
      ["unstarted", code("", broken), "PLUGIN_START_FAILED", /^no store: disk {2}\[2J gone$/],
      ["denied", code(denied, ""), "PLUGIN_REGISTER_FAILED", /\(FileSystemRead: \/etc\/hostname\)$/],
    ] as const) {
      const files = packageFiles(id, source, { implements: [{ port: "key-backend", name: "x" }] });
      const { lifecycle } = await bed.make<KeyBackend>(writePackage(join(bed.folder, "packages", id), files));
      await assert.rejects(lifecycle.start(), (thrown) => isMezError(thrown, error) && why.test(thrown.message), id);
    }
  });

  test("writes nowhere while it is only asked what it registers", async () => {
    const { manifest, stored, verify } = await bed.check(
      writePackage(
        join(bed.folder, "packages/nosy"),
        packageFiles(
          "nosy",
          `const { KEY_BACKEND } = require("mezite/plugin"); const { readdirSync, writeFileSync } = require("node:fs");
           const attempt = (work) => { try { work(); return 1; } catch { return 0; } };
           module.exports = { register(host) { host.implement(KEY_BACKEND, "x", () => ({}));
             const store = require("node:path").join(__dirname, "../..");
             const done = attempt(() => readdirSync(store)) + attempt(() => writeFileSync(store + "/x", "")) + attempt(() => writeFileSync(__dirname + "/x", ""));
             if (done > 0) throw new Error("it could"); } };`,
          { implements: [{ port: "key-backend", name: "x" }] },
        ),
      ),
    );
    await verify();
    assert.deepEqual(readdirSync(join(bed.store.folder, manifest.id)), [stored.sha256]);
    assert.deepEqual(readdirSync(stored.folder).sort(), ["plugin.cjs", "plugin.json"]);
  });

  test("takes with it what it started", async () => {
    const start = `require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: [0, 1, 2, 3] })`;
    const { implementation, lifecycle } = await signing(
      "parent",
      `if (handle === "end") process.exit(3); return signature(String(${start}.pid).padEnd(64));`,
      { manifest: { reach: ["child-process"] } },
    );
    await lifecycle.start();
    const pid = Number(String(await implementation.sign("start", Buffer.alloc(0))));
    assert.ok(existsSync(`/proc/${pid}`));
    await assert.rejects(implementation.sign("end", Buffer.alloc(0)), (error) => isMezError(error, "PLUGIN_UNAVAILABLE"));
    await eventually(() => !existsSync(`/proc/${pid}`));
  });

  test("is killed with all that it started when that takes too much memory, also what left its group", async () => {
    const eater = "const all = []; setInterval(() => all.push(Buffer.alloc(8 << 20, 1)), 20)";
    const start = `require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(eater)}], { detached: true, stdio: "ignore" })`;
    const { implementation, lifecycle, health } = await signing(
      "gluttons",
      `return signature(String(${start}.pid).padEnd(64));`,
      {
        manifest: { reach: ["child-process"] },
        memoryMib: 256,
      },
    );
    await lifecycle.start();
    const pid = Number(String(await implementation.sign("start", Buffer.alloc(0))));
    await eventually(() => /used more than 256 MiB/.test(health()?.lastFailure ?? ""));
    await eventually(() => !existsSync(`/proc/${pid}`));
  });

  test("leaves no process behind", async () => {
    const { lifecycle, health } = await signing("gone", "return signature(1);", {
      top: "setInterval(() => {}, 1000); process.on('SIGTERM', () => {});",
    });
    await lifecycle.start();
    const pid = health()?.pid;
    assert.ok(existsSync(`/proc/${pid}`));
    await lifecycle.dispose();
    assert.equal(existsSync(`/proc/${pid}`), false);
    assert.equal(health(), null);
  });

  test("sends a stream no faster than it is read, and stops when nobody reads", async () => {
    const code = `const { RECORDING_STORE, MezError } = require("mezite/plugin");
      let sent = 0; let returned = 0;
      async function* endless() { try { for (;;) { sent += 65536; yield Buffer.alloc(65536, 7); } } finally { returned += 1; } }
      async function* broken() { yield Buffer.from("a"); throw new MezError("STORAGE_CORRUPT", "torn"); }
      module.exports = { register(host) { host.implement(RECORDING_STORE, "x", () => ({
        append: async () => sent, size: async () => returned, complete: async () => {}, delete: async () => {},
        read: async (id) => id === "broken" ? broken() : endless() })) } };`;
    const place = writePackage(
      join(bed.folder, "packages/streams"),
      packageFiles("streams", code, { implements: [{ port: "recording-store", name: "x" }] }),
    );
    const { implementation, lifecycle } = await bed.make<RecordingStore>(place);
    await lifecycle.start();
    const stream = await implementation.read("endless");
    assert.ok(stream instanceof Readable);
    let read = 0;
    for await (const bytes of stream) {
      read += (bytes as Buffer).length;
      if (read >= 4 * 1024 * 1024) break;
    }
    const sent = await implementation.append("x", 0, Buffer.alloc(0));
    assert.ok(sent <= read + 3 * 1024 * 1024, `${sent} bytes were sent for ${read} that were read`);
    await eventually(async () => (await implementation.size("x")) === 1);
    await assert.rejects(buffer(await implementation.read("broken")), (error) => isMezError(error, "STORAGE_CORRUPT"));
  });

  test("gives an implementation its values, and a call its abort", async () => {
    const code = `const { AUDIT_FORWARDER } = require("mezite/plugin");
      module.exports = { register(host) { host.implement(AUDIT_FORWARDER, "x", () => ({ repeatSeconds: 7,
        deliver: (events, signal) => new Promise((resolve, reject) => { if (!(events[0].timestamp instanceof Date)) reject(new Error("no date"));
          signal.addEventListener("abort", () => resolve()); }) })) } };`;
    const place = writePackage(
      join(bed.folder, "packages/forward"),
      packageFiles("forward", code, { implements: [{ port: "audit-forwarder", name: "x" }] }),
    );
    const { implementation, lifecycle } = await bed.make<AuditForwarder>(place);
    await lifecycle.start();
    assert.equal(implementation.repeatSeconds, 7);
    const abort = new AbortController();
    const event = { seq: 1, id: "a", type: "a.b", code: "MZ1", timestamp: new Date(), success: true, json: "{}" };
    const delivered = implementation.deliver([event], abort.signal);
    abort.abort();
    await delivered;
  });
});

// --- internal ---

function realpathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return "";
  }
}
