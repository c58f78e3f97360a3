import assert from "node:assert/strict";
import { test } from "node:test";
import { isFileCopy, isPlainTransfer } from "../../core/ssh/file-transfer.js";
import { isAcceptedVariable } from "./environment.js";
import { parsePasswdLine } from "./os-account.js";
import { commandFor } from "./session-command.js";
import { sttyWords } from "./terminal-modes.js";

for (const [command, isCopy, isPlain] of [
  ["scp -t /tmp/x", true, true],
  ["scp -r -p -f 'a b'", true, true],
  ["/usr/bin/scp -pt -- .", true, true],
  ["/usr/lib/openssh/sftp-server", true, true],
  ["rsync --server -logDtpre.iLsfxCIvu . /srv/x", true, true],
  ["rsync --server --sender -vlogDtpre.iLsfxCIvu . a\\ b", true, true],
  ["git-upload-pack '/srv/r.git'", false, true],
  ["git-receive-pack 'r'", false, true],
  ["scp -t x; cat /etc/shadow", true, false],
  ["scp -t $(id)", true, false],
  ['scp -t "$(id)"', true, false],
  ["scp -t x\nid", true, false],
  ["scp -t x > y", true, false],
  ["scp -t x & id", true, false],
  ["true && exec scp -f x", true, false],
  ["env A=b scp -t x", true, false],
  ["scp a b:", false, false],
  ["rsync -a x y", false, false],
  ["git status", false, false],
  ["echo scp -t", false, false],
  ["'scp' -t x", true, true],
  ["", false, false],
] as const) {
  test(`${JSON.stringify(command)} ${isCopy ? "copies" : "does not copy"} files and is ${isPlain ? "" : "not "}a transfer alone`, () => {
    assert.deepEqual([isFileCopy(command), isPlainTransfer(command)], [isCopy, isPlain]);
  });
}

for (const [name, isAccepted] of [
  ["LANG", true],
  ["LC_ALL", true],
  ["APP_MODE", true],
  ["EXACT", true],
  ["EXACTLY", false],
  ["LANGUAGE", false],
  ["PATH", false],
  ["LD_PRELOAD", false],
  ["LC_X=Y", false],
  ["", false],
] as const) {
  test(`${isAccepted ? "accepts" : "ignores"} the variable "${name}"`, () => {
    assert.equal(isAcceptedVariable(name, ["APP_*", "EXACT"]), isAccepted);
  });
}

test("reads a line of passwd and nothing else", () => {
  assert.deepEqual(parsePasswdLine("a:x:1000:1001:A,,:/home/a:"), {
    name: "a",
    uid: 1000,
    gid: 1001,
    home: "/home/a",
    shell: "/bin/sh",
  });
  for (const line of ["", "a", "a:x:one:2::/:/bin/sh", "a:x:-1:2::/:/bin/sh"]) assert.equal(parsePasswdLine(line), null);
});

test("asks stty only for what differs from a new terminal", () => {
  assert.deepEqual(sttyWords({ ECHO: 1, ICANON: 1, VERASE: 127, TTY_OP_OSPEED: 38400 }), []);
  assert.deepEqual(sttyWords({ ECHO: 0, VERASE: 8, VSUSP: 255 }), ["-echo", "erase", "0x8", "susp", "undef"]);
});

const account = { name: "a", uid: 1, gid: 1, groups: [1], home: "/", shell: "/bin/zsh" };
const rules = { account, forceCommand: null, allowsFileCopy: true, sftpServer: "/usr/lib/sftp-server" };

test("starts a login shell under its name with a dash", () => {
  const command = commandFor({ kind: "shell", command: "" }, rules);
  assert.ok(!("refused" in command));
  assert.deepEqual([command.file, command.argv0, command.shown, command.args], ["/bin/zsh", "-zsh", null, []]);
});

test("puts a forced command in the place of everything", () => {
  for (const kind of ["shell", "exec", "subsystem"] as const) {
    const command = commandFor({ kind, command: "sftp" }, { ...rules, forceCommand: "date" });
    assert.ok(!("refused" in command));
    assert.deepEqual([command.args, command.original], [["-c", "date"], "sftp"]);
  }
});

for (const [situation, asked, changed] of [
  ["an unknown subsystem", { kind: "subsystem", command: "netconf" }, {}],
  ["SFTP without the right to copy", { kind: "subsystem", command: "sftp" }, { allowsFileCopy: false }],
  ["SFTP without an sftp-server", { kind: "subsystem", command: "sftp" }, { sftpServer: null }],
  ["scp without the right to copy", { kind: "exec", command: "scp -t x" }, { allowsFileCopy: false }],
  ["a NUL byte", { kind: "exec", command: "a\0b" }, {}],
] as const) {
  test(`refuses ${situation}`, () => {
    assert.ok("refused" in commandFor(asked, { ...rules, ...changed }));
  });
}
