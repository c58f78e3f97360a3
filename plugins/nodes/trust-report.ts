import { X509Certificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { HostCredentials } from "../../core/plugin/host-identity.js";
import type { AgentTrust } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { TrustBundle, TrustReport } from "../ca/api.js";

/** What a process with these credentials trusts and shows: the Host CA as its connections check it, the others as its copy has them. */
export function trustReportOf(
  { certificatePem, trustPem }: Pick<HostCredentials, "certificatePem" | "trustPem">,
  caKeys: Pick<Collection<TrustBundle>, "entries">,
): TrustReport {
  const copies = [...caKeys.entries()].map(([type, { certificatesPem }]) => [type, fingerprints(certificatesPem)] as const);
  const leaf = new X509Certificate(certificatePem);
  const authorities = trustPem.map((pem) => new X509Certificate(pem));
  return {
    trusted: { ...Object.fromEntries(copies), host: authorities.map(({ fingerprint256 }) => fingerprint256) },
    certificateAuthority: authorities.find(({ publicKey }) => leaf.verify(publicKey))?.fingerprint256 ?? "",
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

function fingerprints(certificatesPem: readonly string[]): readonly string[] {
  return certificatesPem.map((pem) => new X509Certificate(pem).fingerprint256);
}
