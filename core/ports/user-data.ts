import type { Port } from "../plugin/contract.js";
import type { Transaction } from "../plugin/database.js";

/** What a plugin keeps of people, by their names: factors, devices, requests. */
export interface UserData {
  /**
   * Deletes all of it. Called in the transaction that deletes the user, so that whoever gets the name next inherits nothing;
   * and in the one that makes a user, for what came in between, or was left while the plugin was off.
   */
  forget(tx: Transaction, userName: string): Promise<void>;
}

export const USER_DATA: Port<UserData> = { id: "user-data", version: 1, cardinality: "zero-or-more" };
