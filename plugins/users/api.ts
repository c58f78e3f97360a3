import type { Traits } from "../../core/plugin/caller.js";
import type { ServiceToken } from "../../core/plugin/contract.js";

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
