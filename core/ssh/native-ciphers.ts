import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { requireNotLoaded } from "./ssh2-internals.js";

/**
 * Lets ssh2 use its compiled ciphers only if `npm run build` has made and tried them. Whoever else compiles them, npm for
 * one, gets ciphers that end the process when they are collected (see `cli/bin/bootstrap/object-wrap.h`); then ssh2 goes
 * on with its own in JavaScript.
 */
export function refuseUntriedCiphers(): void {
  requireNotLoaded("lib/protocol/crypto.js");
  const load = createRequire(import.meta.url);
  const folder = join(load.resolve("ssh2/package.json"), "..", "lib", "protocol", "crypto", "build", "Release");
  if (!existsSync(join(folder, "sshcrypto.node")) || existsSync(join(folder, TRIED))) return;
  const path = load.resolve("ssh2/lib/protocol/crypto/build/Release/sshcrypto.node");
  Object.defineProperty(load.cache, path, {
    configurable: true,
    get() {
      throw new Error("the compiled ciphers were not tried");
    },
  });
}

// --- internal ---

/** Written beside them by `cli/bin/bootstrap/native.mjs`. */
const TRIED = "tried-by-mezite";
