import { accountName } from "../../core/plugin/account-name.js";
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
  #stopGuard: (() => void) | null = null;

  constructor(private readonly parts: FirstAdminParts) {}

  async start(): Promise<void> {
    this.#stopGuard = this.parts.roles.guardDeletion((tx, role) => findHolders(tx.em, role));
    if (this.parts.password !== null) await this.#make(this.parts.password, "from the configuration");
  }

  async dispose(): Promise<void> {
    this.#stopGuard?.();
  }

  async makeAdmin(): Promise<FirstAdmin | null> {
    const password = this.parts.passwords.generate();
    return (await this.#make(password, "random")) ? { userName: ADMIN, password } : null;
  }

  /** @returns `false` when there are users already. */
  async #make(password: Secret, origin: string): Promise<boolean> {
    const { database, users, logger } = this.parts;
    if (await database.read(hasUsers)) return false;
    await users.create(
      { name: ADMIN, roles: ["access", "admin"], internalTraits: { logins: ownLogins() }, password, requireChange: false },
      null,
    );
    logger.info("first start: made user admin", { password: origin });
    return true;
  }
}

// --- internal ---

const ADMIN = "admin";

/** Whoever runs the daemon: without root, a node serves only that account. */
function ownLogins(): readonly string[] {
  const name = accountName();
  return name === null ? [] : [name];
}
