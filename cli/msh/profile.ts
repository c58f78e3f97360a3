import { MezError } from "../../core/errors/error.js";
import type { Secret } from "../../core/plugin/secret.js";

/** What a login leaves behind for one cluster. */
export interface Profile {
  readonly cluster: string;
  /** `host:port` of the auth servers, in the order in which they are tried. */
  readonly authServers: readonly string[];
  /** `host:port` of the SSH proxies, in the order in which they are tried. */
  readonly proxies: readonly string[];
  readonly user: string;
  readonly roles: readonly string[];
  /** Login names in the certificate. */
  readonly logins: readonly string[];
  /** End of the certificates. */
  readonly expiresAt: Date;
  /** End of the login session. */
  readonly sessionExpiresAt: Date;
}

/** The secret and the signed parts, as file contents. */
export interface Credentials {
  readonly sessionToken: Secret;
  /** OpenSSH private key file. */
  readonly sshPrivateKey: Secret;
  /** Lines as in `.pub` files. */
  readonly sshPublicKey: string;
  readonly sshCertificate: string;
  readonly tlsPrivateKeyPem: Secret;
  readonly tlsCertificatePem: string;
  /** Host CA certificates, PEM. */
  readonly hostCaPem: string;
  /** `@cert-authority` lines. */
  readonly knownHosts: string;
}

/** A cluster's name becomes part of a path and of an OpenSSH configuration, so it is checked when a server tells it. */
export function parseClusterName(name: string): string {
  if (/^[a-z0-9][a-z0-9.-]{0,62}$/.test(name) && !name.includes("..")) return name;
  throw new MezError("INVALID_DOCUMENT", `the server calls its cluster "${name.slice(0, 63)}", which is not a valid name`);
}

/** So does a person's, in a place where a line break or a quote would begin something else. */
export function parseUserName(name: string): string {
  if (name !== "" && [...name].length <= MAX_USER_CHARACTERS && !NOT_IN_USERS.test(name)) return name;
  throw new MezError("INVALID_DOCUMENT", "the server calls you by a name that is not valid");
}

/** Reads what `formatProfile` wrote. @throws {MezError} `INVALID_DOCUMENT` */
export function parseProfile(text: string, file: string): Profile {
  try {
    const stored = JSON.parse(text) as Record<keyof Profile | "authServer" | "proxy", unknown>;
    const profile: Profile = {
      cluster: parseClusterName(textOf(stored.cluster)),
      authServers: textOf(stored.authServer).split(","),
      proxies: textOf(stored.proxy).split(","),
      user: parseUserName(textOf(stored.user)),
      roles: listOf(stored.roles),
      logins: listOf(stored.logins),
      expiresAt: dateOf(stored.expiresAt),
      sessionExpiresAt: dateOf(stored.sessionExpiresAt),
    };
    return profile;
  } catch (cause) {
    throw new MezError("INVALID_DOCUMENT", `${file} is damaged; log in again`, { cause, fields: { hint: 'run "msh login"' } });
  }
}

/** Writes a profile as the JSON of its file. Several addresses have commas between them. */
export function formatProfile({ cluster, authServers, proxies, ...rest }: Profile): string {
  return `${JSON.stringify({ cluster, authServer: authServers.join(","), proxy: proxies.join(","), ...rest }, null, 2)}\n`;
}

/** Whether every one of the addresses that were asked for is among those of a login. */
export function hasAll(known: readonly string[], asked: readonly string[]): boolean {
  return asked.every((address) => known.includes(address));
}

// --- internal ---

const MAX_USER_CHARACTERS = 128;
/** Without /u: a class that leaves out a few of all characters takes ssh's helper as long to compile as a handshake does. */
const NOT_IN_USERS = /[\s"'`\\%$\u0000-\u001f\u007f-\u009f]/;

function textOf(value: unknown): string {
  if (typeof value !== "string" || /[\u0000-\u001f]/.test(value)) throw new TypeError("not a line of text");
  return value;
}

function listOf(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new TypeError("not a list");
  return value.map(textOf);
}

function dateOf(value: unknown): Date {
  const date = new Date(textOf(value));
  if (Number.isNaN(date.getTime())) throw new TypeError("not a time");
  return date;
}
