import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { spawn } from "@lydell/node-pty";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { isRunning } from "../fixtures/process-tree.js";

const MEZD = fileURLToPath(new URL("../../daemons/mezd.js", import.meta.url));

test("a cluster ends cleanly with the window that it was started in", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-window-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [auth, ssh, tunnel] = await freePorts(3);
  const file = join(folder, "mezite.yaml");
  const listeners = { ssh_listen_addr: `localhost:${ssh}`, tunnel_listen_addr: `localhost:${tunnel}`, web_listen_addr: "" };
  const data = join(folder, "data");
  writeFileSync(
    file,
    JSON.stringify({ cluster_name: "test", data_dir: data, auth: { listen_addr: `localhost:${auth}` }, proxy: listeners }),
  );
  // The shell stands for what sits between a window and the daemon, as npm does.
  const daemon = `"${process.execPath}" --import "${import.meta.resolve("reflect-metadata")}" "${MEZD}" start --config="${file}"`;
  const window = spawn("/bin/sh", ["-c", `${daemon} & echo pid=$!; wait`], { cols: 200 });
  let shown = "";
  window.onData((text) => {
    shown += text;
  });
  const pid = await eventually(() => /is ready\. Stop it/.test(shown) && Number(/pid=(\d+)/.exec(shown)?.[1]));
  assert.ok(existsSync(join(data, "mezite.db")));
  window.kill("SIGHUP");
  await eventually(() => !isRunning(pid));
});
