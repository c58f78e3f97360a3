import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { loadPeerCredentials, type PeerCredentialsReader } from "../../../core/unix-socket/peer-credentials.js";
import { eventually } from "../../../test/fixtures/eventually.js";
import { needsPeers, requirePeer } from "../../../test/peers/require-peer.js";
import { LinuxProcessTable } from "./process-table.js";
import { ProgramDigests } from "./program-digests.js";
import { Workload } from "./workload.js";

const processes = new LinuxProcessTable();

describe("a process that connects to a unix socket", needsPeers("python3"), () => {
  let folder: string;
  let server: Server;
  let read: PeerCredentialsReader;
  const children: ChildProcess[] = [];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "mezite-peer-"));
    read = await loadPeerCredentials();
    server = createServer();
    server.listen(join(folder, "s"));
    await once(server, "listening");
  });
  after(() => {
    for (const child of children) child.kill("SIGKILL");
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is known by its number, user and group, and as long as it runs", async () => {
    const { child, workload } = await connected("time.sleep(60)");
    const { credentials } = workload;
    assert.deepEqual([credentials.pid, credentials.uid, credentials.gid], [child.pid, process.geteuid?.(), process.getegid?.()]);
    assert.equal((await workload.attest(false)).path, realpathSync(requirePeer("python3")));
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    assert.equal(credentials.isRunning(), false);
    await assert.rejects(workload.attest(false), refusal(/has ended/));
    credentials.close();
  });

  test("is refused when it runs another program by now, that keeps the connection", async () => {
    const { child, workload, socket } = await connected(
      "os.set_inheritable(s.fileno(), True); s.recv(1); os.execv('/bin/sleep', ['sleep', '60'])",
    );
    await workload.attest(false);
    socket.write("x");
    await eventually(() => processes.look(child.pid as number)?.program?.path?.endsWith("sleep"));
    await assert.rejects(workload.attest(false), refusal(/changed its program/));
    workload.credentials.close();
  });

  test("is refused when it has ended, and its child keeps the connection", async () => {
    const { child, workload, socket } = await connected("s.recv(1)\nif os.fork() == 0: s.send(b'y'); s.recv(1)");
    const ended = once(child, "exit");
    const told = once(socket, "data");
    socket.write("x");
    await Promise.all([ended, told]);
    await assert.rejects(workload.attest(false), refusal(/has ended/));
    socket.destroy();
    workload.credentials.close();
  });

  async function connected(then: string): Promise<{ child: ChildProcess; workload: Workload; socket: Socket }> {
    const connection = once(server, "connection");
    const program = `import os, socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n${then}`;
    const child = spawn(requirePeer("python3"), ["-c", program, join(folder, "s")], { stdio: "inherit" });
    children.push(child);
    const [socket] = (await connection) as [Socket];
    return { child, socket, workload: new Workload(read(socket), processes, new ProgramDigests(processes)) };
  }
});

// --- internal ---

function refusal(message: RegExp): (error: unknown) => boolean {
  return (error) => isMezError(error, "ACCESS_DENIED") && message.test(error.message);
}
