import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { inProject, readStamp, shippedNode, shippedNodePackage, writeStamp } from "./project.mjs";
import { runNpm } from "./run.mjs";

const STAMP = inProject("node_modules", ".mezite-native");
const BINDING = inProject("node_modules", "ssh2", "lib", "protocol", "crypto", "build", "Release", "sshcrypto.node");

/**
 * Builds ssh2's native ciphers against the headers of the shipped Node. Against any other Node's they do not load, and ssh2
 * then falls back to JavaScript without a word. Without a compiler SSH works, more slowly; that is said once.
 */
export function buildNativeCrypto() {
  const node = shippedNode();
  if (!node) return;
  const compiler = hasProgram("make") && hasProgram("python3") && ["g++", "c++", "clang++"].some(hasProgram);
  const wanted = `${node} compiler=${compiler}`;
  if (readStamp(STAMP) === wanted) return;
  if (!loads(node)) {
    if (compiler) compile();
    if (!loads(node)) {
      const reason = compiler ? "building them failed" : "make, python3 and a C++ compiler are needed to build them";
      console.error(`SSH goes on without native ciphers, more slowly: ${reason}`);
    }
  }
  writeStamp(STAMP, wanted);
}

// --- internal ---

function compile() {
  console.error("building native SSH ciphers ...");
  try {
    runNpm(["rebuild", "ssh2", "cpu-features", "--loglevel=error"], {
      npm_config_ignore_scripts: "false",
      npm_config_nodedir: inProject("node_modules", shippedNodePackage()),
    });
  } catch (error) {
    console.error(error.message);
  }
}

function loads(node) {
  return existsSync(BINDING) && spawnSync(node, ["-e", `require(${JSON.stringify(BINDING)})`], { stdio: "ignore" }).status === 0;
}

function hasProgram(name) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
}
