import type { Traits } from "../../core/plugin/caller.js";
import type { ServiceToken } from "../../core/plugin/contract.js";
import type { Secret } from "../../core/plugin/secret.js";

export { USERS_COLLECTION, type UserEntry } from "../roles/api.js";

export interface User {
  readonly name: string;
  /** Sorted, without repetition. */
  readonly roles: readonly string[];
  readonly traits: Traits;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Reads the users. Changes go through `mezite.users.v1.UserService`, which audits who made them. */
export interface Users {
  /** Sorted by name. */
  list(): Promise<readonly User[]>;
  /** @throws {MezError} `USER_NOT_FOUND` */
  get(name: string): Promise<User>;
}

export const USERS: ServiceToken<Users> = { id: "users", version: 1 };

/** The account that the first start made. */
export interface FirstAdmin {
  readonly userName: string;
  readonly password: Secret;
}

/** Hands the first admin's password to the boot code, which shows it once. */
export interface FirstStart {
  /** `null` when this start made no account, when its password was given in the config, and at the second call. */
  take(): FirstAdmin | null;
}

export const FIRST_START: ServiceToken<FirstStart> = { id: "first-start", version: 1 };
