import type { Port } from "../plugin/contract.js";

/** A user name and a password that somebody typed. */
export interface PasswordCheck {
  /** As it was typed; 1 to 256 characters. */
  readonly userName: string;
  /** In the clear, because it may have to cross into another process: never logged, never kept. Not empty. */
  readonly password: string;
  /** Address of the client without its port. */
  readonly clientAddress: string;
}

/** Who somebody is by the word of an outside identity provider. */
export interface OutsideIdentity {
  /** Becomes the name of the account: lower case, `a-z 0-9 . _ @ -`, at most 64 characters. */
  readonly userName: string;
  /** What the provider says of the person, e.g. `{ groups: ["engineering"] }`; decides about roles, and `{{external.…}}` in them. */
  readonly claims: Readonly<Record<string, readonly string[]>>;
}

/** Signs a person in through an outside identity provider. */
export interface Connector {
  /**
   * Asks the provider whether the password is the person's.
   * @throws {MezError} `INVALID_CREDENTIALS`, the same for an unknown name and for a wrong password; `UNAVAILABLE` when nobody can be
   *   asked now
   */
  checkPassword(check: PasswordCheck, signal: AbortSignal): Promise<OutsideIdentity>;
}

/** Filled under the name that people write: `msh login --connector=<name>`. */
export const CONNECTOR: Port<Connector> = { id: "connector", version: 1, cardinality: "zero-or-more" };
