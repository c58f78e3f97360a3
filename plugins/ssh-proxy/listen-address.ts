import { isIPv6 } from "node:net";
import { MezError } from "../../core/errors/error.js";

export interface ListenAddress {
  /** `null` for all interfaces. */
  readonly host: string | null;
  /** 0 lets the system choose. */
  readonly port: number;
}

/**
 * Reads `host:port`, `[v6]:port` or `:port`.
 * @param key Of the config, for the message.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseListenAddress(key: string, text: string): ListenAddress {
  const [, v6, host = "", port = "65536"] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  if (Number(port) > 65_535 || (v6 !== undefined && !isIPv6(v6)))
    throw invalid(key, text, "host:port, e.g. localhost:3023 or :3023");
  const name = v6 ?? host;
  return { host: name === "" ? null : name, port: Number(port) };
}

/**
 * Reads `host` or `host:port`, the address that people are told; empty is `null`.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parsePublicAddress(key: string, text: string): string | null {
  if (text === "") return null;
  const [whole, port = "0"] = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (whole === undefined || Number(port) > 65_535) throw invalid(key, text, "host or host:port, e.g. proxy.example.com:3023");
  return text;
}

// --- internal ---

function invalid(key: string, text: string, right: string): MezError {
  return new MezError("INVALID_ARGUMENT", `proxy.${key} "${text.slice(0, 80)}" is not valid; write ${right}`);
}
