import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { projectFile } from "../fixtures/project-file.js";
import { requirePeer } from "./require-peer.js";
import type { SoftHsm } from "./softhsm.js";

/** A PKCS #11 module in front of SoftHSM whose signatures take a while. */
export interface SlowToken {
  readonly module: string;
  /** From now on signatures do not come to an end, until the returned function is called. */
  stick(): () => void;
}

/** Compiles the module. What it goes by is in the environment of this process, as for SoftHSM. */
export function makeSlowToken(hsm: SoftHsm, milliseconds: number): SlowToken {
  const module = join(hsm.folder, "slow-token.so");
  const headers = fileURLToPath(projectFile("node_modules/pkcs11js/includes"));
  const source = fileURLToPath(projectFile("test/peers/slow-token.c"));
  execFileSync(requirePeer("cc"), ["-shared", "-fPIC", "-I", headers, "-o", module, source, "-ldl"]);
  const stuck = join(hsm.folder, "stuck");
  process.env.SLOW_TOKEN_MODULE = hsm.module;
  process.env.SLOW_TOKEN_MILLISECONDS = String(milliseconds);
  process.env.SLOW_TOKEN_STUCK = stuck;
  return {
    module,
    stick() {
      closeSync(openSync(stuck, "w"));
      return () => rmSync(stuck, { force: true });
    },
  };
}
