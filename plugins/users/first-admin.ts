import { userInfo } from "node:os";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { FirstAdmin, FirstStart } from "../../core/plugin/first-start.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { Passwords } from "../authentication/api.js";
import type { Roles } from "../roles/api.js";
import { findHolders, hasUsers } from "./user-repository.js";
import type { UserService } from "./user-service.js";

export interface FirstAdminParts {
  readonly database: Database;
  readonly users: UserService;
  readonly roles: Roles;
  readonly passwords: Passwords;
  readonly logger: Logger;
  /** From the config; `null` lets the first start make one. */
  readonly password: Secret | null;
}

/** Makes the account `admin` when there are no users yet, and keeps roles from being deleted while users hold them. */
export class FirstAdminSetup implements Lifecycle, FirstStart {
  #made: FirstAdmin | null = null;
  #stopGuard: (() => void) | null = null;

  constructor(private readonly parts: FirstAdminParts) {}

  async start(): Promise<void> {
    const { database, users, roles, logger } = this.parts;
    this.#stopGuard = roles.guardDeletion((tx, role) => findHolders(tx.em, role));
    if (await database.read(hasUsers)) return;
    const password = this.parts.password ?? this.parts.passwords.generate();
    await users.create(
      { name: ADMIN, roles: ["access", "admin"], internalTraits: { logins: [osUserName()] }, password, requireChange: false },
      null,
    );
    logger.info("first start: made user admin", { password: this.parts.password === null ? "random" : "from the configuration" });
    if (this.parts.password === null) this.#made = { userName: ADMIN, password };
  }

  async dispose(): Promise<void> {
    this.#stopGuard?.();
  }

  take(): FirstAdmin | null {
    const made = this.#made;
    this.#made = null;
    return made;
  }
}

// --- internal ---

const ADMIN = "admin";

/** Whoever runs the daemon: without root, a node serves only that account. */
function osUserName(): string {
  return userInfo().username;
}
