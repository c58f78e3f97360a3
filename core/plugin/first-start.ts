import type { ServiceToken } from "./contract.js";
import type { Secret } from "./secret.js";

/** The account that the first start made. */
export interface FirstAdmin {
  readonly userName: string;
  readonly password: Secret;
}

/** Makes the first admin for the boot code, which shows the password once. */
export interface FirstStart {
  /**
   * Called when everything runs: a start that fails leaves no account behind whose password nobody has seen.
   * @returns `null` when there are users already, and when the password was given in the config.
   */
  makeAdmin(): Promise<FirstAdmin | null>;
}

export const FIRST_START: ServiceToken<FirstStart> = { id: "first-start", version: 1 };
