import type { Port } from "../plugin/contract.js";

/** What an integration is told of the cluster that others are to trust. */
export interface IntegrationCluster {
  readonly name: string;
  /** SPIFFE trust domain, without `spiffe://`. */
  readonly trustDomain: string;
  /** `iss` of JWT-SVIDs, under which the proxies publish the keys: `https://host[:port]`; `null` when none is configured. */
  readonly issuer: string | null;
}

export interface IntegrationRequest {
  /** What `parameters` of the integration describes, defaults filled in. Forms that it cannot describe are not checked yet. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly cluster: IntegrationCluster;
}

/** A file that commands of its step read. */
export interface IntegrationDocument {
  /** Of a file in the current folder, e.g. `trust-policy.json`: `a-z 0-9 . _ -`. */
  readonly name: string;
  /** Lines of text; no control characters, nor those that change the direction of text. At most 64 KiB. */
  readonly text: string;
}

/** One thing that is brought about on the other side. */
export interface IntegrationStep {
  /** Short and stable, e.g. `identity-provider`. */
  readonly name: string;
  /** One line: what it is for. */
  readonly summary: string;
  readonly documents: readonly IntegrationDocument[];
  /** Words of each command line, unquoted: `["aws", "iam", "create-role", …]`. No control characters. */
  readonly commands: readonly (readonly string[])[];
}

/** How the other side comes to trust the cluster: in this order, by hand. At most 1 MiB as JSON. */
export interface IntegrationPlan {
  readonly steps: readonly IntegrationStep[];
  /**
   * What a command of this kind needs to do it with the administrator's own credentials, as plain data of at most 64 KiB; empty when
   * there is no such command.
   */
  readonly target: Readonly<Record<string, unknown>>;
}

/**
 * The parameters as JSON Schema, draft-07: a closed object whose values are text. Of a value it may say `description` (always),
 * `default`, `enum`, `examples`, `minLength` and `maxLength`; other forms are checked by `plan`.
 */
export interface IntegrationParameters {
  readonly type: "object";
  readonly additionalProperties: false;
  readonly required?: readonly string[];
  readonly properties: Readonly<Record<string, IntegrationParameter>>;
}

export interface IntegrationParameter {
  readonly type: "string";
  readonly description: string;
  readonly default?: string;
  readonly enum?: readonly string[];
  readonly examples?: readonly string[];
  readonly minLength?: number;
  readonly maxLength?: number;
}

/** Says how a cloud comes to take identities of this cluster for its own. Changes nothing there and holds none of its credentials. */
export interface Integration {
  /** One line, for lists. */
  readonly summary: string;
  readonly parameters: IntegrationParameters;
  /**
   * Makes a plan; the same request gives the same plan. Nothing is changed anywhere.
   * @throws {MezError} `INVALID_ARGUMENT` for a parameter; `CONFLICT` when the cluster lacks what it takes, e.g. an issuer;
   *   `UNAVAILABLE` when somebody has to be asked who is away
   */
  plan(request: IntegrationRequest, signal: AbortSignal): Promise<IntegrationPlan>;
}

/** Filled under the kind that people write: `mezctl integrations configure <kind>`. */
export const INTEGRATION: Port<Integration> = { id: "integration", version: 1, cardinality: "zero-or-more" };

/** What is wrong with the parameters that an integration declares, in words; `null` for nothing. */
export function parametersProblem(declared: unknown): string | null {
  const { type, additionalProperties, required = [], properties, ...more } = recordOf(declared);
  const extra = Object.keys(more)[0];
  if (extra !== undefined) return `"${extra}" may not stand there`;
  if (type !== "object" || additionalProperties !== false) return "it has to be a closed object";
  const entries = Object.entries(recordOf(properties));
  if (entries.length > MAX_PARAMETERS) return `there are more than ${MAX_PARAMETERS} parameters`;
  if (!isListOf(required, (name) => entries.some(([known]) => known === name))) return "required names something else";
  for (const [name, parameter] of entries) {
    if (!PARAMETER_NAME.test(name)) return `"${name.slice(0, 40)}" is no name of a parameter`;
    const wrong = Object.entries(recordOf(parameter)).find(([key, value]) => PARAMETER_KEYS[key]?.(value) !== true)?.[0];
    if (wrong !== undefined) return `"${wrong.slice(0, 40)}" of ${name} is not what it may be`;
    if (recordOf(parameter)["type"] !== "string") return `${name} is not of type string`;
    if (!isLine(recordOf(parameter)["description"], MAX_LINE)) return `${name} has no description`;
  }
  return null;
}

/** What is wrong with a plan, in words; `null` for nothing. */
export function planProblem(made: unknown): string | null {
  const { steps, target } = recordOf(made);
  if ((JSON.stringify(made) ?? "").length > MAX_PLAN) return "it is too long";
  if (!isListOf(steps, () => true, MAX_STEPS) || steps.length === 0) return `it has no steps, or more than ${MAX_STEPS}`;
  if (typeof target !== "object" || target === null || Array.isArray(target)) return "its target is no object";
  if (JSON.stringify(target).length > MAX_TEXT) return "its target is too long";
  for (const [index, step] of steps.entries()) {
    const { name, summary, documents, commands } = recordOf(step);
    const place = `step ${index + 1}`;
    if (typeof name !== "string" || !STEP_NAME.test(name)) return `${place} has no name`;
    if (!isLine(summary, MAX_LINE)) return `${place} has no summary of one line`;
    if (!isListOf(documents, isDocument, MAX_STEPS)) return `${place} has a document that is none`;
    if (!isListOf(commands, isCommand, MAX_STEPS)) return `${place} has a command that is none`;
  }
  return null;
}

/** Whether lines of text hold control characters but tabs, or such as show it in another order than a shell reads it. */
export function hidesText(text: string): boolean {
  return HIDDEN.test(text.replace(/[\n\t]/g, ""));
}

// --- internal ---

const MAX_PARAMETERS = 50;
const MAX_STEPS = 50;
const MAX_WORDS = 100;
const MAX_WORD = 8192;
const MAX_LINE = 500;
const MAX_TEXT = 65_536;
const MAX_PLAN = 1_048_576;
/** Control characters, and those that show text in another order than a shell reads it. */
const HIDDEN = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u;
const PARAMETER_NAME = /^[a-z][a-z0-9_]{0,39}$/;
const STEP_NAME = /^[a-z][a-z0-9-]{0,39}$/;
const FILE_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const PARAMETER_KEYS: Readonly<Record<string, (value: unknown) => boolean>> = {
  type: (value) => value === "string",
  description: (value) => isLine(value, MAX_LINE),
  default: (value) => isLine(value, MAX_WORD),
  enum: (value) => isListOf(value, (each) => isLine(each, MAX_WORD)) && value.length > 0,
  examples: (value) => isListOf(value, (each) => isLine(each, MAX_WORD)),
  minLength: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  maxLength: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
};

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function isListOf(value: unknown, accepts: (each: unknown) => boolean, most = MAX_PARAMETERS): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= most && value.every(accepts);
}

function isLine(value: unknown, most: number): boolean {
  return typeof value === "string" && value.length <= most && !HIDDEN.test(value);
}

function isDocument(value: unknown): boolean {
  const { name, text } = recordOf(value);
  if (typeof name !== "string" || !FILE_NAME.test(name)) return false;
  return typeof text === "string" && text.length <= MAX_TEXT && !hidesText(text);
}

function isCommand(value: unknown): boolean {
  return isListOf(value, (word) => isLine(word, MAX_WORD), MAX_WORDS) && value.length > 0 && value[0] !== "";
}
