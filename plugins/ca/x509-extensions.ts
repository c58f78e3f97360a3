import { MezError } from "../../core/errors/error.js";
import { bitString, boolean, integer, objectIdentifier, octetString, sequence, tagged } from "./der.js";
import { ipAddressBytes } from "./ip-address.js";
import { extension } from "./x509-certificate.js";

/** Names that a certificate speaks for. */
export interface AlternativeNames {
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly uris?: readonly string[];
}

/**
 * The extensions of a CA that signs leaf certificates only.
 * @param names What it signs for, where certificates say that: the trust domain of a SPIFFE CA.
 * @see RFC 5280, 4.2.1
 */
export function authorityExtensions(subjectKeyId: Buffer, names: AlternativeNames = {}): readonly Buffer[] {
  const extensions = [
    extension("2.5.29.19", sequence(boolean(true), integer(Buffer.of(0))), true), // basicConstraints: CA, pathlen 0
    extension("2.5.29.15", bitString(Buffer.of(0x06), 1), true), // keyUsage: keyCertSign, cRLSign
    subjectKeyIdentifier(subjectKeyId),
  ];
  const alternatives = generalNames(names);
  if (alternatives.length > 0) extensions.push(extension(SUBJECT_ALTERNATIVE_NAME, sequence(...alternatives)));
  return extensions;
}

/**
 * The extensions of a TLS leaf certificate.
 * @throws {MezError} `INVALID_ARGUMENT` for a name that is malformed
 */
export function leafExtensions(
  names: AlternativeNames,
  usage: "client" | "client-and-server",
  subjectKeyId: Buffer,
  authorityKeyId: Buffer,
): readonly Buffer[] {
  const purposes = usage === "client" ? [CLIENT_AUTH] : [SERVER_AUTH, CLIENT_AUTH];
  const extensions = [
    extension("2.5.29.19", sequence(), true), // basicConstraints: no CA
    extension("2.5.29.15", bitString(Buffer.of(0x80), 7), true), // keyUsage: digitalSignature
    extension("2.5.29.37", sequence(...purposes)),
    subjectKeyIdentifier(subjectKeyId),
    extension("2.5.29.35", sequence(tagged(0x80, authorityKeyId))),
  ];
  const alternatives = generalNames(names);
  if (alternatives.length > 0) extensions.push(extension(SUBJECT_ALTERNATIVE_NAME, sequence(...alternatives)));
  return extensions;
}

// --- internal ---

const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";

const SERVER_AUTH = objectIdentifier("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH = objectIdentifier("1.3.6.1.5.5.7.3.2");
const DNS_NAME = /^(?=.{1,253}$)(?:\*\.)?(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*$/;
const URI = /^[a-z][a-z0-9+.-]*:\/\/[\x21-\x7e]+$/;

function subjectKeyIdentifier(keyId: Buffer): Buffer {
  return extension("2.5.29.14", octetString(keyId));
}

function generalNames({ dnsNames = [], ipAddresses = [], uris = [] }: AlternativeNames): readonly Buffer[] {
  return [
    ...dnsNames.map((name) => tagged(0x82, Buffer.from(matching(DNS_NAME, name, "DNS name"), "latin1"))),
    ...ipAddresses.map((address) => tagged(0x87, ipAddressBytes(address) ?? refuse(address, "IP address"))),
    ...uris.map((uri) => tagged(0x86, Buffer.from(matching(URI, uri, "URI"), "latin1"))),
  ];
}

function matching(pattern: RegExp, text: string, what: string): string {
  return pattern.test(text) ? text : refuse(text, what);
}

function refuse(text: string, what: string): never {
  throw new MezError("INVALID_ARGUMENT", `"${text.slice(0, 80)}" is not a valid ${what}`);
}
