import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { LogLines } from "./log-lines.js";

test("what is logged in one turn of the event loop is written together, in its order", async () => {
  const { logger, writes } = open();
  for (const what of ["one", "two", "three"]) logger.info(what);
  assert.deepEqual(writes, []);
  await new Promise((resolve) => setImmediate(resolve));
  logger.info("four");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(writes, [["one", "two", "three"], ["four"]]);
});

for (const level of ["warn", "error"] as const) {
  test(`what is logged with ${level} is written at once, with what came before it`, () => {
    const { logger, writes } = open();
    logger.info("one");
    logger[level]("two");
    assert.deepEqual(writes, [["one", "two"]]);
  });
}

test("what is much does not wait for the end of the turn", () => {
  const { logger, writes } = open();
  for (let count = 0; count < 100; count += 1) logger.info("x".repeat(1_000));
  assert.equal(writes.length, 1);
});

for (const [how, code] of [
  ["exits in the same turn", "process.exit(3)"],
  ["dies of an exception", "throw new Error('unforeseen')"],
  ["dies of a rejection", "await Promise.reject(new Error('unforeseen'))"],
  ["has nothing left to do", ""],
] as const) {
  test(`nothing is lost when the process ${how}`, () => {
    const module = fileURLToPath(new URL("logger.js", import.meta.url));
    const program = `
      const { makeLogger } = await import(${JSON.stringify(module)});
      const logger = (await makeLogger({ logLevel: "info", logFormat: "json" }))("core");
      for (const what of ["one", "two"]) logger.info(what);
      ${code}`;
    const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).msg),
      ["one", "two"],
    );
  });
}

// --- internal ---

function open() {
  const writes: string[][] = [];
  const target = {
    write: (lines: string) => {
      const messages = lines.trimEnd().split("\n");
      writes.push(messages.map((line) => (JSON.parse(line) as { msg: string }).msg));
    },
  };
  return { logger: pino({ base: null }, new LogLines(target)), writes };
}
