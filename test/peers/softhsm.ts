import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requirePeer } from "./require-peer.js";

/** Tokens of SoftHSM in a folder of their own. */
export interface SoftHsm {
  /** Path of the PKCS #11 module. */
  readonly module: string;
  /** What programs need in their environment to see these tokens; this process has it already. */
  readonly environment: { readonly SOFTHSM2_CONF: string };
  readonly folder: string;
  /** Makes one more token. A process that has the module open does not see it. */
  addToken(label: string, pin: string): void;
  close(): void;
}

/** Makes tokens, each with its PIN. The module reads the variable when it is initialized, so one process has one SoftHSM at a time. */
export function makeSoftHsm(tokens: Readonly<Record<string, string>>): SoftHsm {
  const folder = mkdtempSync(join(tmpdir(), "mezite-softhsm-"));
  const file = join(folder, "softhsm2.conf");
  writeFileSync(
    file,
    `directories.tokendir = ${folder}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`,
  );
  const environment = { SOFTHSM2_CONF: file };
  const addToken = (label: string, pin: string): void => {
    const args = ["--init-token", "--free", "--label", label, "--so-pin", "00000000", "--pin", pin];
    execFileSync(requirePeer("softhsm2-util"), args, { env: { ...process.env, ...environment }, stdio: "ignore" });
  };
  for (const [label, pin] of Object.entries(tokens)) addToken(label, pin);
  const before = process.env.SOFTHSM2_CONF;
  process.env.SOFTHSM2_CONF = file;
  return {
    module: requirePeer("libsofthsm2"),
    environment,
    folder,
    addToken,
    close() {
      if (before === undefined) delete process.env.SOFTHSM2_CONF;
      else process.env.SOFTHSM2_CONF = before;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
