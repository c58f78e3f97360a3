import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFile } from "./file-rules.js";

// Put together here, so that this file does not hold what it looks for.
const dot = ".";
const slash = "/";

for (const [name, file, line] of [
  ["a test that runs alone", "core/a.test.ts", `test${dot}only("signs", () => {});`],
  ["a skipped test", "core/a.test.ts", `describe${dot}skip("signs", () => {});`],
  ["a test skipped from inside", "core/a.test.ts", `context${dot}skip();`],
  ["a test to be written", "core/a.test.ts", `test${dot}todo("signs");`],
  ["unfinished work", "core/a.ts", `// ${"TO"}${"DO"}: sign`],
  ["unfinished work in a document", "docs/roles.md", `${"FIX"}${"ME"} later`],
  ["a path of one machine", ".ci/run", `cd ${slash}work${slash}main`],
  ["a path of one machine in a document", "docs/roles.md", `see \`${slash}tmp${slash}mz${slash}notes\``],
  ["a check switched off", "core/a.ts", `// @ts-${"ignore"}`],
  ["SQL with the clock of the database", "plugins/a/a-repository.ts", `  "delete from tokens where expires_at < ${"now"}()",`],
  ["a registry in the lock file", "package-lock.json", `      "resolved": "${"https"}://registry.example/a.tgz",`],
] as const) {
  test(`refuses ${name}`, () => {
    const findings = checkFile(file, `first line\n${line}\n`);
    assert.deepEqual(
      findings.map((finding) => [finding.file, finding.line]),
      [[file, 2]],
    );
  });
}

test("refuses a source of more than 400 lines, and no other long file", () => {
  const long = "const a = 1;\n".repeat(401);
  assert.match(checkFile("core/a.ts", long)[0]?.message ?? "", /has 401 lines/);
  assert.deepEqual(checkFile("core/a.ts", "const a = 1;\n".repeat(400)), []);
  assert.deepEqual(checkFile("docs/a.md", long), []);
  assert.deepEqual(checkFile("proto/gen/a.ts", long), []);
});

for (const line of [
  `import { skip } from "./a.js";`,
  "const path = `${home}/work/file`;",
  "await page.only;",
  'const mount = "/srv/work/a";',
]) {
  test(`allows ${line}`, () => assert.deepEqual(checkFile("core/a.ts", line), []));
}
