import { inProject } from "./project.mjs";
import { requireModernNode, runTool, step } from "./run.mjs";

const BIOME = inProject("node_modules", "@biomejs", "biome", "bin", "biome");
const GENERATE_PROTO = inProject("proto", "generate.mjs");

/**
 * Checks form (Biome), who imports whom and what a commit must not hold (test/tooling), and that the generated code belongs to
 * its sources. Needs a build.
 * @throws {BootstrapError} on the first check that fails; it has printed what is wrong.
 */
export function lint() {
  step("linting", () => {
    const node = requireModernNode();
    runTool("biome check", node, [BIOME, "check", "--error-on-warnings", "--log-level=warn"]);
    runTool("checking imports and files", node, [inProject("dist", "test", "tooling", "lint.js")]);
    runTool("checking proto/gen", node, [GENERATE_PROTO, "--check"]);
  });
}

/** Rewrites every file in the project's form: layout, order of imports, and what Biome can mend safely. */
export function format() {
  runTool("biome check --write", requireModernNode(), [BIOME, "check", "--write"]);
}

/** Writes proto/gen anew from the .proto files. */
export function generateProto() {
  runTool("generating proto/gen", requireModernNode(), [GENERATE_PROTO]);
}
