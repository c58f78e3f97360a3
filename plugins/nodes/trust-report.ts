import { X509Certificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { HostCredentials } from "../../core/plugin/host-identity.js";
import type { AgentTrust } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { TrustBundle, TrustReport } from "../ca/api.js";

/** What a process with these credentials trusts and shows: the Host CA as its connections check it, the others as its copy has them. */
export function trustReportOf(credentials: Credentials, caKeys: Pick<Collection<TrustBundle>, "entries">): TrustReport {
  const copies = [...caKeys.entries()].map(([type, { certificatesPem }]) => [type, certificatesPem.map(fingerprint)] as const);
  return {
    trusted: { ...Object.fromEntries(copies), host: credentials.trustPem.map(fingerprint) },
    certificateAuthority: signerOf(credentials),
  };
}

/** A report as it goes over the wire. */
export function writeTrustReport({ trusted, certificateAuthority }: TrustReport): AgentTrust {
  const entries = Object.entries(trusted).map(([type, list]) => ({ type, fingerprints: [...list] }));
  return { trusted: entries, certificateAuthority };
}

/** @returns `null` when the agent said nothing, as one of an older release does. @throws {MezError} `INVALID_ARGUMENT` */
export function readTrustReport(message: AgentTrust | undefined): TrustReport | null {
  if (message === undefined) return null;
  const { trusted, certificateAuthority } = message;
  const all = [...trusted.flatMap((each) => each.fingerprints), ...(certificateAuthority === "" ? [] : [certificateAuthority])];
  const isShort = trusted.length <= MAX_LENGTH && trusted.every((each) => each.fingerprints.length <= MAX_LENGTH);
  if (!isShort || !all.every((each) => FINGERPRINT.test(each)) || !trusted.every(({ type }) => /^[a-z]{1,20}$/.test(type)))
    throw new MezError("INVALID_ARGUMENT", "what the agent says of the CA keys that it trusts cannot be read");
  return { trusted: Object.fromEntries(trusted.map((each) => [each.type, each.fingerprints])), certificateAuthority };
}

// --- internal ---

const MAX_LENGTH = 8;
const FINGERPRINT = /^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/;

type Credentials = Pick<HostCredentials, "certificatePem" | "trustPem">;

// A report goes with each heartbeat, and all that it is read from changes once in months.
const MAX_KNOWN = 32;
const known = new Map<string, string>();
const signers = new WeakMap<Credentials, string>();

function fingerprint(pem: string): string {
  const found = known.get(pem);
  if (found !== undefined) return found;
  const made = new X509Certificate(pem).fingerprint256;
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(pem, made);
  return made;
}

function signerOf(credentials: Credentials): string {
  const found = signers.get(credentials);
  if (found !== undefined) return found;
  const leaf = new X509Certificate(credentials.certificatePem);
  const signer = credentials.trustPem.find((pem) => leaf.verify(new X509Certificate(pem).publicKey));
  const made = signer === undefined ? "" : fingerprint(signer);
  signers.set(credentials, made);
  return made;
}
