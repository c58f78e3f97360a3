import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { plainAddress } from "../rpc/address.js";

/** What a `Host` header says. */
export interface RequestedHost {
  /** Lower case, without port and without brackets. */
  readonly name: string;
  /** `https://name[:port]`, without the port of HTTPS. */
  readonly origin: string;
}

/** @returns `null` for what is no host, e.g. one with a path or a user. */
export function parseHost(header: string): RequestedHost | null {
  const [, v6, plain = "", port] =
    /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(header.toLowerCase()) ?? [];
  const name = v6 ?? plain;
  if (name === "" || Number(port ?? 0) > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) return null;
  const authority = v6 === undefined ? plain : `[${v6}]`;
  return { name, origin: `https://${authority}${port === undefined || Number(port) === 443 ? "" : `:${Number(port)}`}` };
}

/**
 * The names that this server answers to: those in its certificate and those that it was given. A page of another site whose
 * name was made to point here (DNS rebinding) asks for a name that is not ours.
 */
export class HostNames {
  readonly #certificate: X509Certificate;
  readonly #names: ReadonlySet<string>;

  constructor(certificatePem: string, names: readonly string[]) {
    this.#certificate = new X509Certificate(certificatePem);
    this.#names = new Set(names.map((name) => name.toLowerCase()));
  }

  /** @param localAddress Of the connection: its own address is no name that could point elsewhere. */
  includes(name: string, localAddress: string): boolean {
    if (this.#names.has(name)) return true;
    if (isIP(name) !== 0) return name === plainAddress(localAddress) || this.#certificate.checkIP(name) !== undefined;
    return this.#certificate.checkHost(name, { subject: "never" }) !== undefined;
  }
}
