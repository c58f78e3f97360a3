import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, type Finished } from "../fixtures/cluster.js";

const ROLE = `kind: role
version: v1
metadata: { name: developer, description: Shell on development hosts }
spec:
  options: { max_session_ttl: 8h }
  allow:
    node_labels: { env: test }
    logins: ["{{internal.logins}}"]
`;

const colours = process.stdout.isTTY && process.env.NO_COLOR === undefined;

/** A tour through a cluster: what a person would type, and what comes back. Ends with 1 at the first surprise. */
async function tour(): Promise<void> {
  title("Starting auth service, proxy and a node agent on loopback");
  const started = performance.now();
  const cluster = await Cluster.start({ node: "apart" });
  try {
    say(
      `ready in ${((performance.now() - started) / 1000).toFixed(1)} s; node ${cluster.nodeName} dialled out and opened no port`,
    );
    const { login, nodeName } = cluster;

    title("The administrator makes a role and a user");
    const role = join(cluster.folder, "developer.yaml");
    writeFileSync(role, ROLE);
    show("mezctl roles create --from-file=developer.yaml", cluster.mezctl(["roles", "create", `--from-file=${role}`]));
    show("mezctl nodes ls", cluster.mezctl(["nodes", "ls"]), nodeName);

    title("Alice logs in and gets certificates for eight hours; no key of hers is ever stored on a server");
    const home = cluster.person("alice", ["--roles=developer", `--logins=${login}`]);
    const alice = { home };
    show("msh status", cluster.msh(["status"], alice), "alice");
    show("msh ls", cluster.msh(["ls"], alice), nodeName);

    title("Her own OpenSSH client goes through the proxy");
    show(
      `ssh -F ~/.mezite/ssh_config ${login}@${nodeName} hostname`,
      cluster.ssh([`${login}@${nodeName}`, "echo connected through $MEZITE_SESSION_ID"], alice),
      "connected",
    );
    const terminal = cluster.ssh(["-tt", `${login}@${nodeName}`, "echo this terminal is recorded; tty; exit"], alice);
    show(`ssh -t -F ~/.mezite/ssh_config ${login}@${nodeName}`, terminal, "this terminal is recorded");

    title("scp works as well");
    const folder = mkdtempSync(join(cluster.folder, "scp-"));
    writeFileSync(join(folder, "report.txt"), "numbers\n");
    show(
      `scp report.txt ${login}@${nodeName}:`,
      cluster.ssh([join(folder, "report.txt"), `${login}@${nodeName}:${join(folder, "copy.txt")}`], { ...alice, program: "scp" }),
    );
    if (readFileSync(join(folder, "copy.txt"), "utf8") !== "numbers\n") throw new Error("scp did not copy the file");

    title("What she may not do is refused, and says why");
    show(`ssh nobody@${nodeName}`, cluster.ssh([`nobody@${nodeName}`, "true"], alice), null, 255);

    title("The administrator sees the recording, plays it, and asks the audit log");
    const id = await recordingOf(cluster, "this terminal");
    show("mezctl recordings ls", cluster.mezctl(["recordings", "ls"]), "alice");
    show(`msh play ${id}`, cluster.msh(["play", id, "--speed=100"]), "this terminal is recorded");
    show("mezctl audit ls --type=session.start", cluster.mezctl(["audit", "ls", "--type=session.start"]), "alice");
    show(
      "mezctl audit ls --type=access.denied --since=1h",
      cluster.mezctl(["audit", "ls", "--type=access.denied", "--since=1h"]),
      "alice",
    );
    show("mezctl audit verify", cluster.mezctl(["audit", "verify"]));
  } finally {
    title("Stopping");
    await cluster.stop();
  }
  say("done");
}

/** The recording that holds `text`; it is uploaded a moment after the session ends. */
async function recordingOf(cluster: Cluster, text: string): Promise<string> {
  for (const until = Date.now() + 20_000; Date.now() < until; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const rows = JSON.parse(cluster.mezctlOk(["recordings", "ls", "--user=alice", "--format=json"])) as {
      id: string;
      state: string;
    }[];
    for (const { id, state } of rows) {
      if (state !== "complete") continue;
      if (cluster.mezctlOk(["recordings", "download", id, "--out=-"]).includes(text)) return id;
    }
  }
  throw new Error(`no recording with "${text}" arrived`);
}

function title(text: string): void {
  process.stdout.write(colours ? `\n\u001b[1m${text}\u001b[0m\n` : `\n# ${text}\n`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints a command and what it said, and checks exit code and a word of the answer. */
function show(command: string, { code, stdout, stderr }: Finished, expected: string | null = null, wantedCode = 0): void {
  say(colours ? `\u001b[36m$ ${command}\u001b[0m` : `$ ${command}`);
  const text = `${stdout}${stderr}`.trimEnd();
  if (text !== "") say(text);
  if (code !== wantedCode) throw new Error(`"${command}" ended with ${code}, not ${wantedCode}`);
  if (expected !== null && !text.includes(expected)) throw new Error(`"${command}" does not say "${expected}"`);
}

await tour().catch((error: unknown) => {
  process.stderr.write(`demo: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
