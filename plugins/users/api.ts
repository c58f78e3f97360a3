import type { Traits } from "../../core/plugin/caller.js";
import type { ServiceToken } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";

export { USERS_COLLECTION, type UserEntry } from "../roles/api.js";

export interface User {
  readonly name: string;
  /** Sorted, without repetition. */
  readonly roles: readonly string[];
  readonly traits: Traits;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** The connector whose account it is; `null` for one with a password here. */
  readonly connector: string | null;
}

/** Reads the users. Changes go through `mezite.users.v1.UserService`, which audits who made them. */
export interface Users {
  /** Sorted by name. */
  list(): Promise<readonly User[]>;
  /** @throws {MezError} `USER_NOT_FOUND` */
  get(name: string): Promise<User>;
}

export const USERS: ServiceToken<Users> = { id: "users", version: 1 };

/** Somebody whom a connector has signed in. */
export interface OutsidePerson {
  readonly connector: string;
  readonly userName: string;
  /** At least one. */
  readonly roles: readonly string[];
  /** Become the external traits. */
  readonly claims: Readonly<Record<string, readonly string[]>>;
  readonly clientAddress: string;
}

/** Accounts of people who sign in elsewhere. */
export interface OutsideUsers {
  /**
   * Makes the account at the first login, and gives it the roles and traits of now at each.
   * @throws {MezError} `ACCESS_DENIED` when the name is an account with a password here, or another connector's; `ROLE_NOT_FOUND`;
   *   `LAST_ADMIN`
   */
  admit(person: OutsidePerson): Promise<void>;
  /** Whether there is such an account and it is the connector's. */
  isOf(tx: Transaction, userName: string, connector: string): Promise<boolean>;
}

/** Provided by the plugin `users`. */
export const OUTSIDE_USERS: ServiceToken<OutsideUsers> = { id: "outside-users", version: 1 };
