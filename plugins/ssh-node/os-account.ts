import { execFile } from "node:child_process";
import { MezError } from "../../core/errors/error.js";
import type { Clock } from "../../core/time/clock.js";

/** A user of the operating system. */
export interface OsAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Every group, the primary one included. */
  readonly groups: readonly number[];
  readonly home: string;
  readonly shell: string;
}

/** Finds accounts as the system's name service knows them, LDAP and the like included; answers are kept for 10 s. */
export class OsAccounts {
  readonly #known = new Map<string, { readonly account: Promise<OsAccount | null>; readonly until: number }>();

  constructor(private readonly clock: Clock) {}

  /**
   * @returns `null` when there is no such user.
   * @throws {MezError} `UNAVAILABLE` when the name service does not answer
   */
  find(name: string): Promise<OsAccount | null> {
    const now = this.clock.now().getTime();
    const known = this.#known.get(name);
    if (known !== undefined && known.until > now) return known.account;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const account = lookUp(name);
    this.#known.set(name, { account, until: now + KEPT_MS });
    account.catch(() => this.#known.delete(name));
    return account;
  }
}

/** Reads a line of `getent passwd`; `null` when it is not one. */
export function parsePasswdLine(line: string): Omit<OsAccount, "groups"> | null {
  const [name = "", , uid = "", gid = "", , home = "", shell = ""] = line.split(":");
  if (name === "" || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return null;
  return { name, uid: Number(uid), gid: Number(gid), home: home === "" ? "/" : home, shell: shell === "" ? "/bin/sh" : shell };
}

// --- internal ---

const KEPT_MS = 10_000;
const MAX_KNOWN = 1_000;
const ANSWER_MS = 10_000;
const NOT_FOUND = 2; // getent(1)
// As useradd(8) allows them, and what directories add. A number would be looked up as a uid.
const LOGIN_NAME = /^[A-Za-z_][A-Za-z0-9_.@\\-]{0,255}$/;

async function lookUp(name: string): Promise<OsAccount | null> {
  if (!LOGIN_NAME.test(name)) return null;
  const [passwd, groups] = await Promise.all([ask("getent", ["passwd", name]), ask("id", ["-G", "--", name])]);
  const account = passwd === null ? null : parsePasswdLine(passwd.trim());
  if (account === null || account.name !== name) return null;
  const ids = (groups ?? "")
    .trim()
    .split(/\s+/)
    .filter((id) => /^\d+$/.test(id))
    .map(Number);
  return { ...account, groups: [...new Set([account.gid, ...ids])] };
}

/** `null` when there is no such entry. */
function ask(program: "getent" | "id", args: readonly string[]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: ANSWER_MS, env: { PATH: "/usr/bin:/bin", LC_ALL: "C" } }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else if (error.code === NOT_FOUND || (program === "id" && error.code === 1)) resolve(null);
      else reject(new MezError("UNAVAILABLE", "this node cannot look up its users now", { cause: error }));
    });
  });
}
