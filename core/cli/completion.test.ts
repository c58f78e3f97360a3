import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { spawn } from "@lydell/node-pty";
import { eventually } from "../../test/fixtures/eventually.js";
import { exampleProgram } from "../../test/fixtures/example-program.js";
import { needsPeers } from "../../test/peers/require-peer.js";
import { completions } from "./completion.js";
import { completionScript } from "./completion-script.js";

const cases: readonly [words: readonly string[], found: readonly string[]][] = [
  [["us"], ["users"]],
  [["lo"], ["locks"]],
  [
    ["users", ""],
    ["create", "list", "delete"],
  ],
  [["users", "l"], ["list"]],
  [["users", "r"], ["rm"]],
  [["users", "rm", "--user"], []],
  [
    ["locks", "create", "--t"],
    ["--token", "--type", "--ttl"],
  ],
  [
    ["locks", "create", "--ttl", "1h", "--t"],
    ["--token", "--type"],
  ],
  [
    ["locks", "create", "--type", ""],
    ["user", "role", "agent"],
  ],
  [["locks", "create", "--type=r"], ["--type=role"]],
  [["--format", "y"], ["yaml"]],
  [["--format", "json", "locks", ""], ["create"]],
  [["fail", "b"], ["bug"]],
  [["fail", "bug", ""], []],
  [["ssh", "node1", "--", "l"], []],
  [["nothing", ""], []],
  [["--nothing", "us"], ["users"]],
  [["help", "lo"], ["locks"]],
];

for (const [words, found] of cases) {
  test(`completes: ${words.join(" ")}|`, async () => {
    assert.deepEqual(
      (await completions(exampleProgram(), words)).map(({ word }) => word),
      found,
    );
  });
}

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mezite-completion-"));
  const script = `import { main } from ${JSON.stringify(new URL("./program.js", import.meta.url).href)};
import { exampleProgram } from ${JSON.stringify(new URL("../../test/fixtures/example-program.js", import.meta.url).href)};
await main(exampleProgram());`;
  await writeFile(join(folder, "mezctl.mjs"), script);
  await writeFile(join(folder, "mezctl"), `#!/bin/sh\nexec '${process.execPath}' '${join(folder, "mezctl.mjs")}' "$@"\n`, {
    mode: 0o755,
  });
});

after(() => rm(folder, { recursive: true, force: true }));

function withMezctl(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${folder}:${process.env["PATH"]}` };
}

async function inBash(script: string): Promise<string> {
  return (await promisify(execFile)("bash", ["--norc", "-c", script], { env: withMezctl() })).stdout;
}

// As bash itself cuts them: `=` is a word of its own.
for (const [words, replies] of [
  [["us"], ["users"]],
  [
    ["users", ""],
    ["create", "list", "delete"],
  ],
  [["locks", "create", "--ty"], ["--type"]],
  [["locks", "create", "--type", "r"], ["role"]],
  [["locks", "create", "--type", "=", "r"], ["role"]],
  [
    ["locks", "create", "--type", "="],
    ["user", "role", "agent"],
  ],
  [["--format", "=", "json", "us"], ["users"]],
] as const) {
  test(`bash completes: ${words.join(" ")}|`, async () => {
    const line = `mezctl ${words.join(" ").replace(/ = ?/g, "=")}`;
    const printed = await inBash(`
      source <(mezctl completion bash)
      COMP_WORDS=(mezctl ${words.map((word) => `'${word}'`).join(" ")})
      COMP_CWORD=${words.length} COMP_LINE='${line}' COMP_POINT=${line.length}
      _mezctl_complete
      printf '%s\\n' "\${COMPREPLY[@]}"
      complete -p mezctl >/dev/null`);
    assert.deepEqual(printed.trim().split("\n"), replies);
  });
}

for (const [line, found] of [
  ["mezctl us", ["users"]],
  ["mezctl users ", ["create", "delete", "list"]],
  ["mezctl locks create --type=r", ["--type=role"]],
  ["mezctl locks create --type ", ["agent", "role", "user"]],
] as const) {
  test(`fish completes: ${line}|`, needsPeers("fish"), async () => {
    const script = `mezctl completion fish | source; complete -C '${line}'`;
    const { stdout } = await promisify(execFile)("fish", ["--no-config", "-c", script], { env: withMezctl() });
    const words = stdout
      .trim()
      .split("\n")
      .map((reply) => reply.split("\t")[0]);
    assert.deepEqual(words.sort(), found);
  });
}

for (const [typed, completed] of [
  ["mezctl us\t", "mezctl users "],
  ["mezctl users l\t", "mezctl users list "],
  ["mezctl locks create --type=r\t", "mezctl locks create --type=role "],
] as const) {
  test(`zsh completes: ${typed.trim()}|`, needsPeers("zsh"), async (t) => {
    const terminal = spawn("zsh", ["-f", "-i"], { env: { ...withMezctl(), PS1: "ready> ", TERM: "dumb" } });
    t.after(() => terminal.kill());
    let screen = "";
    terminal.onData((text) => {
      screen += text;
    });
    await eventually(() => screen.includes("ready> "));
    // The line is shown by a key of ours: what zsh draws while it completes depends on the terminal.
    terminal.write("autoload -U compinit; compinit -D; source <(mezctl completion zsh)\r");
    terminal.write("show() { print; print -r \"line:[$BUFFER]\" }; zle -N show; bindkey '^X' show; print se''t\r");
    await eventually(() => /^set\r?$/m.test(screen));
    terminal.write(`${typed}\x18`);
    await eventually(() => screen.includes(`line:[${completed}]`));
  });
}

for (const shell of ["bash", "zsh", "fish"] as const) {
  for (const binary of ["mezctl", "msh", "mezd"] as const) {
    test(`the ${shell} script for ${binary} asks ${binary} itself`, () => {
      assert.match(completionScript(shell, binary), new RegExp(`${binary} __complete -- `));
    });
  }
}
