import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { inProject, readStamp, shippedNode, shippedNodePackage, writeStamp } from "./project.mjs";
import { runNpm } from "./run.mjs";

const STAMP = inProject("node_modules", ".mezite-native");
const OBJECT_WRAP = inProject("cli", "bin", "bootstrap", "object-wrap.h");
const CIPHERS = inProject("node_modules", "ssh2", "lib", "protocol", "crypto", "build", "Release", "sshcrypto.node");
const PKCS11 = inProject("node_modules", "pkcs11js", "build", "Release", "pkcs11.node");

/** What is compiled here, since npm runs no install scripts. */
const PARTS = [
  {
    title: "native SSH ciphers",
    packages: ["ssh2", "cpu-features"],
    environment: () => ({ CXXFLAGS: `${process.env.CXXFLAGS ?? ""} -include "${OBJECT_WRAP}"` }),
    /** Loads them, and lets some be collected as it happens in a process that goes on. */
    trial: `
      const { AESGCMDecipher } = require(${JSON.stringify(CIPHERS)});
      for (let i = 0; i < 100; i++) new AESGCMDecipher("aes-128-gcm", Buffer.alloc(16), Buffer.alloc(12));
      for (let i = 0, kept = []; i < 1_000_000; i++) kept[i % 1000] = { i };`,
    /** Says that they may be used: see core/ssh/native-ciphers.ts. */
    mark: () => writeFileSync(join(CIPHERS, "..", "tried-by-mezite"), ""),
    without: "SSH goes on without native ciphers, more slowly",
  },
  {
    title: "the way to PKCS #11 modules",
    packages: ["pkcs11js"],
    environment: () => ({}),
    trial: `new (require(${JSON.stringify(PKCS11)}).PKCS11)()`,
    mark: () => undefined,
    without: "keys.pkcs11 cannot be used",
  },
];

/**
 * Builds the native parts of packages against the headers of the shipped Node. Against any other Node's ssh2's ciphers do not
 * load, and ssh2 then falls back to JavaScript without a word. All else works without a compiler; what does not is said once.
 * Ciphers that end the process when they are collected are left alone: slow is better than gone.
 */
export function buildNativeParts() {
  const node = shippedNode();
  if (!node) return;
  const compiler = hasProgram("make") && hasProgram("python3") && ["g++", "c++", "clang++"].some(hasProgram);
  // pkcs11js is optional: npm may have left it out.
  const parts = PARTS.filter(({ packages: [name] }) => existsSync(inProject("node_modules", name)));
  const tried = createHash("sha256").update(readFileSync(OBJECT_WRAP)).update(JSON.stringify(parts)).digest("hex");
  const wanted = `${node} compiler=${compiler} tried=${tried}`;
  if (readStamp(STAMP) === wanted) return;
  for (const part of parts) {
    const isFound = works(node, part);
    if (!isFound && compiler) compile(part);
    if (isFound || works(node, part)) part.mark();
    else {
      const reason = compiler ? "building failed" : "make, python3 and a C++ compiler are needed to build";
      console.error(`${part.without}: ${reason} ${part.title}`);
    }
  }
  writeStamp(STAMP, wanted);
}

// --- internal ---

function compile({ title, packages, environment }) {
  console.error(`building ${title} ...`);
  try {
    runNpm(["rebuild", ...packages, "--loglevel=error"], {
      npm_config_ignore_scripts: "false",
      npm_config_nodedir: inProject("node_modules", shippedNodePackage()),
      ...environment(),
    });
  } catch (error) {
    console.error(error.message);
  }
}

function works(node, { trial }) {
  return spawnSync(node, ["--max-semi-space-size=1", "-e", trial], { stdio: "ignore" }).status === 0;
}

function hasProgram(name) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
}
