import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { inProject, readStamp, shippedNode, shippedNodePackage, writeStamp } from "./project.mjs";
import { runNpm } from "./run.mjs";

const STAMP = inProject("node_modules", ".mezite-native");
const BINDING = inProject("node_modules", "ssh2", "lib", "protocol", "crypto", "build", "Release", "sshcrypto.node");

/** Says that they may be used: see core/ssh/native-ciphers.ts. */
const TRIED = join(BINDING, "..", "tried-by-mezite");
const OBJECT_WRAP = inProject("cli", "bin", "bootstrap", "object-wrap.h");

/**
 * Builds ssh2's native ciphers against the headers of the shipped Node. Against any other Node's they do not load, and ssh2
 * then falls back to JavaScript without a word. Without a compiler SSH works, more slowly; that is said once.
 * Ciphers that end the process when they are collected are left alone: slow is better than gone.
 */
export function buildNativeCrypto() {
  const node = shippedNode();
  if (!node) return;
  const compiler = hasProgram("make") && hasProgram("python3") && ["g++", "c++", "clang++"].some(hasProgram);
  const wanted = `${node} compiler=${compiler} tried=${createHash("sha256").update(readFileSync(OBJECT_WRAP)).digest("hex")}`;
  if (readStamp(STAMP) === wanted) return;
  const isFound = works(node);
  if (!isFound && compiler) compile();
  if (isFound || works(node)) writeFileSync(TRIED, "");
  else {
    const reason = compiler ? "building them failed" : "make, python3 and a C++ compiler are needed to build them";
    console.error(`SSH goes on without native ciphers, more slowly: ${reason}`);
  }
  writeStamp(STAMP, wanted);
}

// --- internal ---

function compile() {
  console.error("building native SSH ciphers ...");
  try {
    runNpm(["rebuild", "ssh2", "cpu-features", "--loglevel=error"], {
      npm_config_ignore_scripts: "false",
      CXXFLAGS: `${process.env.CXXFLAGS ?? ""} -include "${OBJECT_WRAP}"`,
      npm_config_nodedir: inProject("node_modules", shippedNodePackage()),
    });
  } catch (error) {
    console.error(error.message);
  }
}

/** Loads them, and lets some be collected as it happens in a process that goes on. */
function works(node) {
  const code = `
    const { AESGCMDecipher } = require(${JSON.stringify(BINDING)});
    for (let i = 0; i < 100; i++) new AESGCMDecipher("aes-128-gcm", Buffer.alloc(16), Buffer.alloc(12));
    for (let i = 0, kept = []; i < 1_000_000; i++) kept[i % 1000] = { i };`;
  return existsSync(BINDING) && spawnSync(node, ["--max-semi-space-size=1", "-e", code], { stdio: "ignore" }).status === 0;
}

function hasProgram(name) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
}
