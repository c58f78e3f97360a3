import { MezError } from "../../../core/errors/error.js";
import type { Secret } from "../../../core/plugin/secret.js";
import { parseDuration } from "../../../core/time/duration.js";
import type { TokenSettings } from "./session-pool.js";

/** `plugins.keys.pkcs11.config` of the config file, after its schema. */
export interface Pkcs11Config {
  readonly module: string;
  readonly token: string;
  readonly pin?: Secret;
  readonly sessions: number;
  readonly timeout: string;
  readonly former_module: string;
  readonly former_token: string;
  readonly former_pin?: Secret;
}

export interface Pkcs11Settings {
  /** Where new keys are made. */
  readonly home: TokenSettings;
  /** Where others are: one, or none. */
  readonly former: readonly TokenSettings[];
}

/**
 * Checks what a schema cannot, without looking at the machine.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function pkcs11Settings(config: Pkcs11Config): Pkcs11Settings {
  const { module, token: label, pin, sessions, former_token, former_pin } = config;
  const common = { sessions, timeoutMs: parseDuration(config.timeout) * 1000 };
  if (module === "") throw invalid("module", "is missing; it is the path of the PKCS #11 module");
  if (label === "") throw invalid("token", "is missing; it is the label of the token");
  if (pin === undefined) throw invalid("pin", "is missing; give it as file:/path or env:NAME");
  const home = { module, label, pin, ...common };
  if (former_token === "") {
    if (config.former_module !== "" || former_pin !== undefined) throw invalid("former_token", "is missing");
    return { home, former: [] };
  }
  if (former_token === label) throw invalid("former_token", "is the token of new keys");
  if (former_pin === undefined) throw invalid("former_pin", "is missing; give it as file:/path or env:NAME");
  const formerModule = config.former_module === "" ? module : config.former_module;
  return { home, former: [{ module: formerModule, label: former_token, pin: former_pin, ...common }] };
}

// --- internal ---

function invalid(key: string, why: string): MezError {
  return new MezError("CONFIG_INVALID", `plugins.keys.pkcs11.config.${key} ${why}`);
}
