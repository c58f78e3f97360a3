import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DirectAnswer } from "../../../core/tunnel/direct-route.js";
import type { DirectLogin } from "./direct-login.js";
import { personEnvironment } from "./person-environment.js";

/**
 * Has another `msh` learn from the auth service which Host CA keys count, after a proxy has said that this login trusts others. A proxy
 * is not believed more than that. It goes on in the background, and is waited for when ssh would otherwise refuse the node.
 */
export async function followTrust({ folder, trust: held }: DirectLogin, { trust, verdict }: DirectAnswer): Promise<void> {
  const isWaiting = trust === "unusable" && verdict !== "refused";
  if (!mayBegin(join(folder, MARK), held) && !isWaiting) return;
  const refresh = spawn(msh(), ["__refresh", folder], { detached: true, stdio: "ignore", env: personEnvironment() });
  refresh.on("error", () => undefined);
  refresh.unref();
  if (isWaiting) await once(refresh, "exit", { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => undefined);
}

/**
 * Whether this process is to begin the refresh, of many that run at once. False when nothing can be written here.
 * @param mark File that names the trust for which it was begun last.
 */
export function mayBegin(mark: string, held: Buffer, now = Date.now()): boolean {
  try {
    if (isBegun(mark, held, now)) return false;
    rmSync(mark, { force: true });
    writeFileSync(mark, held, { mode: 0o600, flag: "wx" });
    return true;
  } catch {
    return false;
  }
}

// --- internal ---

/** In the folder of the login. */
const MARK = "trust-refreshed";
/** How often it is begun for the same trust, at most: a proxy may know later than the auth service. */
const AGAIN_MS = 5_000;
const WAIT_MS = 5_000;

function isBegun(mark: string, held: Buffer, now: number): boolean {
  const file = statSync(mark, { throwIfNoEntry: false });
  return file !== undefined && Math.abs(now - file.mtimeMs) < AGAIN_MS && readFileSync(mark).equals(held);
}

/** The program of which this one, in dist/cli/msh/, is a part. */
function msh(): string {
  return join(dirname(process.argv[1] ?? ""), "../../../cli/bin/msh");
}
