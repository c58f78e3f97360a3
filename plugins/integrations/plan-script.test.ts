import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { type IntegrationPlan, planProblem } from "../../core/ports/integration.js";
import { PlanIntegrationResponse } from "../../proto/gen/mezite/integrations/v1/integrations.js";
import { printPlan } from "./api.js";
import { planScript } from "./plan-script.js";

const AWKWARD = [
  "$(touch pwned)",
  "`touch pwned`",
  "it's",
  'a "b"',
  "a b",
  "",
  "*",
  "~",
  "#",
  "$HOME",
  "\\",
  "é🔑",
  "-x",
  "a;b",
  "<END",
];

for (const shell of ["sh", "bash"]) {
  test(`${shell} runs the commands with exactly their words, and writes the documents`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), "mezite-script-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const program = join(folder, "cloud");
    writeFileSync(program, `#!/bin/sh\nfor word in "$@"; do printf '%s\\0' "$word"; done >> words\n`);
    chmodSync(program, 0o755);
    const text = `{\n\t"a": "$(touch pwned) \`touch pwned\`"\n}\nEND\nEND_\n`;
    const plan: IntegrationPlan = {
      steps: [
        {
          name: "first",
          summary: "A step $(touch pwned) `touch pwned`",
          documents: [{ name: "policy.json", text }],
          commands: [["cloud", ...AWKWARD]],
        },
        { name: "second", summary: "Another", documents: [], commands: [["cloud", "--file", "policy.json"]] },
      ],
      target: {},
    };
    assert.equal(planProblem(plan), null);
    const env = { PATH: `${folder}:${process.env["PATH"]}` };
    execFileSync(shell, ["-eu"], { input: planScript("acme", plan), cwd: folder, env });
    const words = readFileSync(join(folder, "words"), "utf8").split("\0").slice(0, -1);
    assert.deepEqual(words, [...AWKWARD, "--file", "policy.json"]);
    assert.equal(readFileSync(join(folder, "policy.json"), "utf8"), text);
    assert.throws(() => readFileSync(join(folder, "pwned")), /ENOENT/);
  });
}

for (const [what, change] of [
  ["a path as the name of a document", { documents: [{ name: "../x", text: "" }] }],
  ["a hidden file", { documents: [{ name: ".bashrc", text: "" }] }],
  ["a control character in a document", { documents: [{ name: "x", text: "\u001b[2J" }] }],
  ["a line break in a word", { commands: [["a", "b\nc"]] }],
  ["a line break in its summary", { summary: "a\nrm -rf x" }],
  ["text that is shown backwards", { documents: [{ name: "x", text: "a\u202eb" }] }],
  [
    "far too much text",
    { documents: Array.from({ length: 20 }, (_, index) => ({ name: `x${index}`, text: "a".repeat(60_000) })) },
  ],
  ["a command without words", { commands: [[]] }],
  ["a word that is none", { commands: [["a", 1]] }],
  ["no name", { name: "" }],
] as const) {
  test(`a step with ${what} is none`, () => {
    const step = { name: "a", summary: "b", documents: [], commands: [], ...change };
    assert.notEqual(planProblem({ steps: [step], target: {} }), null);
    assert.equal(planProblem({ steps: [{ name: "a", summary: "b", documents: [], commands: [] }], target: {} }), null);
  });
}

test("a script that hides what it does is not shown, whatever the server checked", async () => {
  const shown: string[] = [];
  const context = {
    output: { format: "table" as const, rows: async () => {}, record: async () => {}, note: () => {} },
    stdout: { write: (text: string) => shown.push(text) > 0 },
  } as unknown as Parameters<typeof printPlan>[0];
  const plan = (script: string) => PlanIntegrationResponse.fromPartial({ script });
  await printPlan(context, plan("# 1. first\n\taws iam\n"));
  for (const hidden of ["\u001b[8m", "\r", "\u202e", "\u009b2J"])
    await assert.rejects(printPlan(context, plan(`aws iam\n${hidden}rm -rf /\n`)), (error) =>
      isMezError(error, "INVALID_DOCUMENT"),
    );
  assert.deepEqual(shown, ["# 1. first\n\taws iam\n"]);
});
