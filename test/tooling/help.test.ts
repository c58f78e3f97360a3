import assert from "node:assert/strict";
import { test } from "node:test";
import { isGroup, leavesOf } from "../../core/cli/command-tree.js";
import { loadCommand } from "../../core/cli/route.js";
import { checkCommand, commandsIn, PROGRAMS } from "./command-line.js";

for (const binary of ["mezctl", "msh"] as const) {
  test(`${binary}: the help of every command shows it in an example that it would take`, async () => {
    for (const summary of PROGRAMS[binary].commands) {
      const node = await loadCommand(summary, binary);
      for (const { path, command } of isGroup(node) ? leavesOf(node) : [{ path: [node.name], command: node }]) {
        if (command.hidden === true) continue;
        const shown = [binary, ...path].join(" ");
        const written = (command.examples ?? []).flatMap(commandsIn);
        assert.ok(
          written.some((example) => `${[example.binary, ...example.args].join(" ")} `.startsWith(`${shown} `)),
          `${shown} has no example of itself`,
        );
        for (const example of written) await assert.doesNotReject(checkCommand(example, true), shown);
      }
    }
  });
}
