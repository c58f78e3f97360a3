import { existsSync } from "node:fs";
import { inProject } from "./project.mjs";
import { BootstrapError, METADATA_FLAGS, runNode } from "./run.mjs";

const CONCURRENCY = 3; // two cores: many tests wait for programs
const TIMEOUT_MS = 900_000; // of one file, several times what the longest takes; a test that hangs must not hold up the rest for ever

/**
 * Runs the compiled tests and resolves to the exit code.
 * @param selection Folders or files to run, e.g. `core/time` or `test/e2e`; empty means all.
 * @param missingPeers Name of a missing peer -> why it is missing; tests that need it say so.
 */
export function runTests(selection, missingPeers) {
  const flags = selection.filter((argument) => argument.startsWith("-"));
  const places = selection.filter((argument) => !argument.startsWith("-"));
  const patterns = places.length === 0 ? ["**/*.test.js"] : places.map(patternFor);
  return runNode(
    [
      ...METADATA_FLAGS,
      "--test",
      `--test-concurrency=${CONCURRENCY}`,
      `--test-timeout=${TIMEOUT_MS}`,
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      ...flags,
      ...patterns.map((pattern) => inProject("dist", pattern)),
    ],
    {
      MEZITE_MISSING_PEERS: JSON.stringify(missingPeers),
      // Hundreds of processes load the same code.
      NODE_COMPILE_CACHE: inProject("node_modules", ".cache", "mezite-tests"),
    },
  );
}

// --- internal ---

function patternFor(place) {
  const path = place.replace(/^(\.\/|dist\/)/, "").replace(/\/$/, "");
  const file = path.replace(/\.test\.ts$/, ".test.js");
  if (!existsSync(inProject("dist", file)))
    throw new BootstrapError(`there is no "${place}" to test; name a folder or a test, e.g. core/time`);
  return file.endsWith(".test.js") ? file : `${file}/**/*.test.js`;
}
