import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, chmodSync, copyFileSync, mkdtempSync, readFileSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { eventually } from "../../../test/fixtures/eventually.js";
import { LinuxProcessTable } from "./process-table.js";
import { ProgramDigests } from "./program-digests.js";

const processes = new LinuxProcessTable();
let folder: string;
let children: ChildProcess[];
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "mezite-process-")));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

test("tells user, groups and program of this process", () => {
  const state = processes.look(process.pid);
  assert.equal(state?.uid, process.geteuid?.());
  assert.equal(state?.gid, process.getegid?.());
  assert.deepEqual(new Set(state?.groups), new Set(process.getgroups?.().filter((group) => state?.groups.includes(group))));
  assert.equal(state?.program?.path, realpathSync(process.execPath));
  assert.match(state?.startTime ?? "", /^\d+$/);
});

test("tells nothing of a process that has ended", async () => {
  const child = sleepFrom("/bin/sleep");
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  assert.equal(processes.look(child.pid as number), null);
});

test("tells a process whose name looks like the end of the name", async () => {
  const program = join(folder, "a) S 1 (b");
  copyFileSync("/bin/sleep", program);
  chmodSync(program, 0o755);
  const child = sleepFrom(program);
  const state = await running(child, program);
  assert.match(state.startTime, /^\d{2,}$/);
});

test("knows no path for a program that was replaced, and its digest all the same", async () => {
  const program = join(folder, "app");
  copyFileSync("/bin/sleep", program);
  const child = sleepFrom(program);
  const before = await running(child, program);
  rmSync(program);
  copyFileSync("/bin/cat", program);
  const after = processes.look(child.pid as number);
  assert.equal(after?.program?.path, null);
  assert.equal(after?.startTime, before.startTime);
  const digests = new ProgramDigests(processes);
  assert.equal(await digests.of(child.pid as number, after?.program?.id as string, 0), digestOf("/bin/sleep"));
});

test("reads a program once, and again when the file has changed", async () => {
  const program = join(folder, "app");
  copyFileSync("/bin/sleep", program);
  let opened = 0;
  const openProgram = (pid: number): number => {
    opened += 1;
    return processes.openProgram(pid);
  };
  const digests = new ProgramDigests({ openProgram });
  const first = sleepFrom(program);
  const { program: one } = await running(first, program);
  const id = one?.id as string;
  const found = await Promise.all([digests.of(first.pid as number, id, 0), digests.of(first.pid as number, id, 0)]);
  found.push(await digests.of(first.pid as number, id, 0));
  assert.deepEqual([...new Set(found), opened], [digestOf("/bin/sleep"), 1]);

  const ended = once(first, "exit");
  first.kill("SIGKILL");
  await ended;
  appendFileSync(program, "more");
  const second = sleepFrom(program);
  const { program: other } = await running(second, program);
  assert.notEqual(other?.id, id);
  assert.equal(await digests.of(second.pid as number, other?.id as string, 0), digestOf(program));
});

test("reads one program of a user at a time, and those of another user meanwhile", async () => {
  const order: string[] = [];
  const openProgram = (pid: number): number => {
    order.push(`opens ${pid}`);
    throw new Error("not readable");
  };
  const digests = new ProgramDigests({ openProgram });
  const read = (pid: number, uid: number) => digests.of(pid, `id ${pid}`, uid).then(() => order.push(`read ${pid}`));
  await Promise.all([read(1, 1000), read(2, 1000), read(3, 1001)]);
  assert.ok(order.indexOf("opens 2") > order.indexOf("opens 3"), order.join());
  assert.deepEqual([...order].sort(), ["opens 1", "opens 2", "opens 3", "read 1", "read 2", "read 3"]);
});

test("knows no path for a program that another mount shows there", async (t) => {
  const program = join(folder, "app");
  copyFileSync("/bin/cat", program);
  const inside = 'mount --bind /bin/sleep "$0" && exec "$0" 60';
  const child = spawn("unshare", ["--mount", "sh", "-c", inside, program], { stdio: "ignore" });
  children.push(child);
  const ended = once(child, "exit").then(() => "ended");
  const found = await eventually(async () => {
    if ((await Promise.race([ended, Promise.resolve("runs")])) === "ended") return "ended" as const;
    const state = processes.look(child.pid as number);
    return state?.program?.path === null ? state.program : null;
  });
  if (found === "ended") return t.diagnostic("needs the right to mount");
  assert.equal(readlinkSync(`/proc/${child.pid}/exe`), program, "the kernel calls it by the name");
  assert.equal(await new ProgramDigests(processes).of(child.pid as number, found.id, 0), digestOf("/bin/sleep"));
});

test("has no digest of a program that the process does not run, or that is gone", async () => {
  const digests = new ProgramDigests(processes);
  assert.equal(await digests.of(process.pid, "1:2:3:4:5", 0), null);
  assert.equal(await digests.of(2 ** 22 + 1, "1:2:3:4:5", 0), null);
});

// --- internal ---

function sleepFrom(program: string): ChildProcess {
  const child = spawn(program, ["60"], { stdio: "ignore" });
  children.push(child);
  return child;
}

function running(child: ChildProcess, program: string) {
  return eventually(() => {
    const state = processes.look(child.pid as number);
    return state?.program?.path === program ? state : null;
  });
}

function digestOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
