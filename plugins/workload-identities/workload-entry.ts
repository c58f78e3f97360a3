import { createHash } from "node:crypto";
import { DNS_TEMPLATE, PATH_TEMPLATE, renderTemplate } from "./template.js";
import type { UnixSelectors } from "./unix-selectors.js";
import type { StoredWorkloadIdentity } from "./workload-identity.js";

/** A workload identity as one agent identity may serve it on its host. */
export interface WorkloadEntry {
  readonly name: string;
  /** Changes with everything that SVIDs say or that decides who gets them. */
  readonly revision: string;
  readonly spiffeId: string;
  readonly unix: UnixSelectors;
  readonly x509TtlSeconds: number;
  readonly jwtTtlSeconds: number;
  readonly dnsSans: readonly string[];
  readonly hint: string;
}

/** Where an agent identity runs. */
export interface WorkloadHost {
  readonly identityName: string;
  /** The node of the identity's name; `null` where there is none. */
  readonly node: { readonly name: string; readonly labels: Readonly<Record<string, string>> } | null;
}

/**
 * What a workload identity is on a host; `null` when the agent identity or the node's labels are not those that it asks for,
 * or when a value of a template is missing or unfit.
 */
export function entryOn(host: WorkloadHost, workload: StoredWorkloadIdentity, trustDomain: string): WorkloadEntry | null {
  if (!isFor(host, workload)) return null;
  const values = { ...host, workloadName: workload.name };
  const path = renderTemplate(PATH_TEMPLATE, workload.spiffeIdPath, values);
  const dnsSans = workload.dnsSans.map((san) => renderTemplate(DNS_TEMPLATE, san, values));
  const spiffeId = `spiffe://${trustDomain}${path}`;
  if (path === null || dnsSans.includes(null) || spiffeId.length > MAX_SPIFFE_ID_LENGTH) return null;
  const { name, id, unix, x509TtlSeconds, jwtTtlSeconds, hint } = workload;
  const said = { spiffeId, unix, x509TtlSeconds, jwtTtlSeconds, hint, dnsSans: dnsSans.filter((san) => san !== null) };
  const revision = createHash("sha256")
    .update(JSON.stringify([id, said]))
    .digest("hex")
    .slice(0, 32);
  return { ...said, name, revision };
}

// --- internal ---

const MAX_SPIFFE_ID_LENGTH = 2048; // SPIFFE-ID, 2.3

function isFor({ identityName, node }: WorkloadHost, { agentIdentities, nodeLabels }: StoredWorkloadIdentity): boolean {
  const labels = Object.entries(nodeLabels);
  if (agentIdentities.length === 0 && labels.length === 0) return false;
  if (agentIdentities.length > 0 && !agentIdentities.includes(identityName)) return false;
  return labels.every(([label, values]) => {
    const value = node !== null && Object.hasOwn(node.labels, label) ? node.labels[label] : undefined;
    return value !== undefined && (values.includes("*") || values.includes(value));
  });
}
