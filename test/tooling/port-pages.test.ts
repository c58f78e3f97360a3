import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PORT_CARDINALITIES } from "../../core/host/ports.js";
import { ISOLATED_PORTS } from "../../core/isolation/isolated-ports.js";
import { projectFile } from "../fixtures/project-file.js";

const SECTIONS = ["When it is called", "Methods", "Errors", "Isolation", "Contract suite", "Example"];
const SOURCES = new Map(
  [...PORT_CARDINALITIES.keys()].map((port) => [port, readFileSync(projectFile(`core/ports/${port}.ts`), "utf8")]),
);

for (const port of PORT_CARDINALITIES.keys()) {
  test(`docs/plugins/${port}.md: tells an author all there is to know`, () => {
    const page = readFileSync(projectFile(`docs/plugins/${port}.md`), "utf8");
    for (const section of SECTIONS) assert.match(page, new RegExp(`^## ${section}$`, "m"), section);
    for (const method of membersOf(port)) assert.match(page, new RegExp(`\\| \`${method}\\b`), `${port}: ${method}`);
    assert.equal(/Can run in a process of its own/.test(page), ISOLATED_PORTS.has(port), "what it says of isolation");
    assert.ok(
      readFileSync(projectFile("docs/writing-a-plugin.md"), "utf8").includes(`(plugins/${port}.md)`),
      "the list of ports",
    );
  });

  test(`mezite/plugin: has what a plugin that fills ${port} needs`, () => {
    assert.ok(readFileSync(projectFile("core/plugin/index.ts"), "utf8").includes(`"../ports/${port}.js"`));
  });
}

// --- internal ---

/** The members of the interface that the port's constant names. */
function membersOf(port: string): readonly string[] {
  const source = SOURCES.get(port) ?? "";
  const name = /: Port<(\w+)>/.exec(source)?.[1];
  const body = new RegExp(`^export interface ${name} \\{\\n([\\s\\S]*?)^\\}`, "m").exec(source)?.[1] ?? "";
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, member = ""]) => member);
}
