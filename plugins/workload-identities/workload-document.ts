import { MezError } from "../../core/errors/error.js";
import { parseLocatedYaml } from "../../core/plugin/checked-yaml.js";
import { formatDuration, parseDuration } from "../../core/time/duration.js";
import { type WorkloadIdentity, workloadProblem } from "./workload-identity.js";
import { WORKLOAD_SCHEMA } from "./workload-schema.js";

/**
 * Reads a workload identity from YAML or JSON.
 * @param file For messages; `-` is standard input.
 * @throws {MezError} `INVALID_DOCUMENT` with file, line and what would be right.
 */
export async function parseWorkloadDocument(text: string, file: string): Promise<WorkloadIdentity> {
  const located = await parseLocatedYaml<WorkloadDocument>(text, { file, schema: WORKLOAD_SCHEMA, what: "workload identity" });
  const { metadata, spec } = located.value;
  const { agent_identities, node_labels, unix } = spec.selectors;
  const ttlOf = (key: "x509_ttl" | "jwt_ttl"): number => {
    try {
      return parseDuration(spec[key]);
    } catch (error) {
      throw error instanceof MezError ? located.problem(["spec", key], error.message) : error;
    }
  };
  const workload: WorkloadIdentity = {
    name: metadata.name,
    description: metadata.description,
    spiffeIdPath: spec.spiffe_id,
    agentIdentities: listOf(agent_identities),
    nodeLabels: Object.fromEntries(Object.entries(node_labels).map(([label, values]) => [label, listOf(values)])),
    unix: { uids: listOf(unix.uid), gids: listOf(unix.gid), paths: listOf(unix.path), sha256: listOf(unix.sha256) },
    x509TtlSeconds: ttlOf("x509_ttl"),
    jwtTtlSeconds: ttlOf("jwt_ttl"),
    dnsSans: listOf(spec.dns_sans),
    hint: spec.hint,
  };
  const problem = workloadProblem(workload);
  if (problem !== null) throw located.problem(problem.path, problem.message);
  return workload;
}

/** The document that `parseWorkloadDocument` reads back as the same. Empty parts are left out. */
export function workloadToDocument(workload: WorkloadIdentity): Record<string, unknown> {
  const { name, description, agentIdentities, nodeLabels, unix, dnsSans, hint } = workload;
  const labels = Object.fromEntries(Object.entries(nodeLabels).map(([label, values]) => [label, oneOrMany(values)]));
  return {
    kind: "workload_identity",
    version: "v1",
    metadata: { name, ...(description === "" ? {} : { description }) },
    spec: {
      spiffe_id: workload.spiffeIdPath,
      selectors: {
        ...written("agent_identities", agentIdentities),
        ...(Object.keys(labels).length === 0 ? {} : { node_labels: labels }),
        unix: {
          ...written("uid", unix.uids),
          ...written("gid", unix.gids),
          ...written("path", unix.paths),
          ...written("sha256", unix.sha256),
        },
      },
      x509_ttl: formatDuration(workload.x509TtlSeconds),
      jwt_ttl: formatDuration(workload.jwtTtlSeconds),
      ...written("dns_sans", dnsSans),
      ...(hint === "" ? {} : { hint }),
    },
  };
}

// --- internal ---

type OneOrMany<T> = T | readonly T[];

interface WorkloadDocument {
  readonly metadata: { readonly name: string; readonly description: string };
  readonly spec: {
    readonly spiffe_id: string;
    readonly selectors: {
      readonly agent_identities: OneOrMany<string>;
      readonly node_labels: Readonly<Record<string, OneOrMany<string>>>;
      readonly unix: {
        readonly uid: OneOrMany<number>;
        readonly gid: OneOrMany<number>;
        readonly path: OneOrMany<string>;
        readonly sha256: OneOrMany<string>;
      };
    };
    readonly x509_ttl: string;
    readonly jwt_ttl: string;
    readonly dns_sans: OneOrMany<string>;
    readonly hint: string;
  };
}

function listOf<T extends string | number>(value: OneOrMany<T>): readonly T[] {
  return typeof value === "object" ? value : [value];
}

function oneOrMany<T>(values: readonly T[]): unknown {
  return values.length === 1 ? values[0] : values;
}

function written<T>(key: string, values: readonly T[]): Record<string, unknown> {
  return values.length === 0 ? {} : { [key]: oneOrMany(values) };
}
