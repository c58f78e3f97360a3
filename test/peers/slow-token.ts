import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { projectFile } from "../fixtures/project-file.js";
import { requirePeer } from "./require-peer.js";
import type { SoftHsm } from "./softhsm.js";

/** A PKCS #11 module in front of SoftHSM that is as tokens at the end of a network are: slow, stuck, short of sessions. */
export interface SlowToken {
  readonly module: string;
  /** How many sessions there may be from now on, `null` for any number. */
  limitSessions(count: number | null): void;
  /** Flags that every token has besides from now on. @see PKCS #11 3.0, CK_TOKEN_INFO */
  addFlags(flags: number): void;
  /** From now on signatures do not come to an end, until the returned function is called. */
  stick(): () => void;
  /** The session that makes the next key is lost right after that. */
  loseNextMaker(): void;
}

/** Compiles the module. What it goes by is in the environment of this process, as for SoftHSM. */
export function makeSlowToken(hsm: SoftHsm, milliseconds: number): SlowToken {
  const module = join(hsm.folder, "slow-token.so");
  const headers = fileURLToPath(projectFile("node_modules/pkcs11js/includes"));
  const source = fileURLToPath(projectFile("test/peers/slow-token.c"));
  execFileSync(requirePeer("cc"), ["-shared", "-fPIC", "-I", headers, "-o", module, source, "-ldl"]);
  const stuck = join(hsm.folder, "stuck");
  const loss = join(hsm.folder, "loss");
  setVariable("SLOW_TOKEN_MODULE", hsm.module);
  setVariable("SLOW_TOKEN_MILLISECONDS", String(milliseconds));
  setVariable("SLOW_TOKEN_STUCK", stuck);
  setVariable("SLOW_TOKEN_LOSS", loss);
  return {
    module,
    limitSessions: (count) => setVariable("SLOW_TOKEN_SESSIONS", count === null ? "" : String(count)),
    addFlags: (flags) => setVariable("SLOW_TOKEN_FLAGS", String(flags)),
    stick() {
      closeSync(openSync(stuck, "w"));
      return () => rmSync(stuck, { force: true });
    },
    loseNextMaker: () => closeSync(openSync(loss, "w")),
  };
}

// --- internal ---

/** In the environment of this process, where the module looks; programs that are started from here inherit it. */
function setVariable(name: string, value: string): void {
  process.env[name] = value;
}
