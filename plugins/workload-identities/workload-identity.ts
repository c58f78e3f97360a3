import { isIP } from "node:net";
import { MezError } from "../../core/errors/error.js";
import { DNS_TEMPLATE, PATH_TEMPLATE, type Template, templateProblem } from "./template.js";
import { selectorsProblem, type UnixSelectors } from "./unix-selectors.js";

/** What a program is to be, and which programs on which hosts are it. JSON. */
export interface WorkloadIdentity {
  readonly name: string;
  readonly description: string;
  /** Path of the SPIFFE ID, with templates: see `template.ts`. */
  readonly spiffeIdPath: string;
  /** Agent identities that may serve it. Empty for any whose node has the labels. */
  readonly agentIdentities: readonly string[];
  /** Label of the node to its values, `*` for any. Empty for any node, and for hosts that are none. */
  readonly nodeLabels: Readonly<Record<string, readonly string[]>>;
  readonly unix: UnixSelectors;
  readonly x509TtlSeconds: number;
  readonly jwtTtlSeconds: number;
  /** With templates. */
  readonly dnsSans: readonly string[];
  /** Tells SVIDs of one program apart for that program; may be empty. */
  readonly hint: string;
}

/** A workload identity as it is stored. JSON. */
export interface StoredWorkloadIdentity extends WorkloadIdentity {
  /** UUID of this state: another one after each change. */
  readonly id: string;
  readonly createdBy: string;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** What is wrong with a workload identity, and where in its document. */
export interface WorkloadProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Lower case, as it stands on command lines. */
export const WORKLOAD_NAME_PATTERN = "^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$";

export const DEFAULT_X509_TTL_SECONDS = 3600;
export const MAX_X509_TTL_SECONDS = 86_400;
export const DEFAULT_JWT_TTL_SECONDS = 300;
export const MAX_JWT_TTL_SECONDS = 3600;
export const MIN_TTL_SECONDS = 60;

/** Tells whether a workload identity could have this name. Asked before a name from outside reaches the database. */
export function isWorkloadName(name: string): boolean {
  return WORKLOAD_NAME.test(name);
}

/**
 * Checks what a schema cannot.
 * @returns The first problem, or `null`.
 */
export function workloadProblem(workload: WorkloadIdentity): WorkloadProblem | null {
  const { name, description, hint, dnsSans } = workload;
  return (
    unless(
      isWorkloadName(name),
      ["metadata", "name"],
      `name "${printable(name)}" is not valid; use up to 64 of a-z, 0-9, ".", "_" and "-", beginning and ending with a letter or digit`,
    ) ??
    unless(isLine(description, 500), ["metadata", "description"], "the description has to be one line of up to 500 characters") ??
    templateOf(PATH_TEMPLATE, workload.spiffeIdPath, ["spec", "spiffe_id"]) ??
    hostsProblem(workload) ??
    selectorsProblem(workload.unix, ["spec", "selectors", "unix"]) ??
    ttlProblem(workload.x509TtlSeconds, MAX_X509_TTL_SECONDS, "x509_ttl") ??
    ttlProblem(workload.jwtTtlSeconds, MAX_JWT_TTL_SECONDS, "jwt_ttl") ??
    unless(dnsSans.length <= MAX_DNS_SANS, ["spec", "dns_sans"], `more than ${MAX_DNS_SANS} DNS names`) ??
    firstOf(dnsSans, (san, index) => dnsProblem(san, ["spec", "dns_sans", index])) ??
    unless(isLine(hint, 64), ["spec", "hint"], "the hint has to be one line of up to 64 characters")
  );
}

/** @throws {MezError} `INVALID_ARGUMENT` for what `workloadProblem` finds something wrong with. */
export function checkWorkload(workload: WorkloadIdentity): void {
  const problem = workloadProblem(workload);
  if (problem !== null) throw new MezError("INVALID_ARGUMENT", `${problem.path.join(".")}: ${problem.message}`);
}

/** A word from outside as it may stand in a message. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}

// --- internal ---

const WORKLOAD_NAME = new RegExp(WORKLOAD_NAME_PATTERN);
const IDENTITY_NAME = /^[a-z0-9]([a-z0-9._-]{0,52}[a-z0-9])?$/;
const LABEL_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$/;
const MAX_DNS_SANS = 20;
const MAX_VALUES = 500;

function unless(isRight: boolean, path: WorkloadProblem["path"], message: string): WorkloadProblem | null {
  return isRight ? null : { path, message };
}

function firstOf<T>(items: readonly T[], check: (item: T, index: number) => WorkloadProblem | null): WorkloadProblem | null {
  for (const [index, item] of items.entries()) {
    const problem = check(item, index);
    if (problem !== null) return problem;
  }
  return null;
}

function isLine(text: string, maxLength: number): boolean {
  return text.length <= maxLength && !/\p{Cc}/u.test(text);
}

function templateOf(template: Template, text: string, path: WorkloadProblem["path"]): WorkloadProblem | null {
  const message = templateProblem(template, text);
  return message === null ? null : { path, message };
}

function dnsProblem(san: string, path: WorkloadProblem["path"]): WorkloadProblem | null {
  return (
    unless(isIP(san) === 0, path, `"${printable(san)}" is an address; dns_sans takes names`) ??
    templateOf(DNS_TEMPLATE, san, path)
  );
}

function hostsProblem({ agentIdentities, nodeLabels }: WorkloadIdentity): WorkloadProblem | null {
  const path = ["spec", "selectors"];
  const labels = Object.entries(nodeLabels);
  return (
    unless(
      agentIdentities.length + labels.length > 0,
      path,
      "name agent_identities or node_labels: it says on which hosts the program runs",
    ) ??
    unless(agentIdentities.length <= MAX_VALUES && labels.length <= MAX_VALUES, path, `more than ${MAX_VALUES} entries`) ??
    firstOf(agentIdentities, (name, index) =>
      unless(
        IDENTITY_NAME.test(name),
        [...path, "agent_identities", index],
        `"${printable(name)}" is no name of an agent identity`,
      ),
    ) ??
    firstOf(labels, ([label, values]) => labelProblem(label, values, [...path, "node_labels", label]))
  );
}

function labelProblem(label: string, values: readonly string[], path: WorkloadProblem["path"]): WorkloadProblem | null {
  return (
    unless(LABEL_NAME.test(label), path, `label name "${printable(label)}" is not valid`) ??
    unless(values.length > 0 && values.length <= MAX_VALUES, path, `label "${label}" needs 1 to ${MAX_VALUES} values`) ??
    firstOf(
      values,
      (value) =>
        unless(isLine(value, 256), path, `a value of label "${label}" is longer than 256 characters or has control characters`) ??
        unless(
          !value.startsWith("^"),
          path,
          `label "${label}": regular expressions are for roles; write the values, or "*" for any`,
        ),
    )
  );
}

function ttlProblem(seconds: number, max: number, key: string): WorkloadProblem | null {
  const isRight = Number.isInteger(seconds) && seconds >= MIN_TTL_SECONDS && seconds <= max;
  return unless(isRight, ["spec", key], `${key} has to be from 1m to ${max / 3600}h`);
}
