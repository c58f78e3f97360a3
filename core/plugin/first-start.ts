import type { ServiceToken } from "./contract.js";
import type { Secret } from "./secret.js";

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
