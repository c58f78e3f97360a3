import type { ErrorObject } from "ajv";
import { nearest } from "../errors/suggestion.js";

/**
 * Says in words what a JSON Schema error means: which key, what is wrong with it, what would be right. `path` is where
 * the error is; `what` names the whole document. A `description` in the schema is quoted as what would be right.
 */
export function explain(error: ErrorObject, path: readonly (string | number)[], what: string): string {
  const where = nameOf(path);
  const here = where === "" ? `the ${what}` : where;
  const params: Readonly<Record<string, unknown>> = error.params;
  switch (error.keyword) {
    case "additionalProperties":
    case "unevaluatedProperties":
      return unknownKey(String(params.additionalProperty ?? params.unevaluatedProperty), error, where);
    case "propertyNames":
      return `key "${clip(String(params.propertyName))}"${where === "" ? "" : ` under ${where}`} is not valid${wanted(error)}`;
    case "required":
      return `key "${String(params.missingProperty)}" is missing${where === "" ? "" : ` under ${where}`}`;
    case "type":
      return `${here} has to be ${typeWords(params.type)}, not ${kindOf(error.data)}${quoteHint(params.type, error.data)}`;
    case "enum":
      return oneOf(here, error.data, params.allowedValues as readonly unknown[], where);
    case "const":
      return `${here} is ${shown(error.data, where)}; it has to be ${JSON.stringify(params.allowedValue)}`;
    case "minimum":
    case "exclusiveMinimum":
    case "maximum":
    case "exclusiveMaximum":
      return `${here} is ${shown(error.data, where)}; it has to be ${String(params.comparison)} ${String(params.limit)}`;
    case "minItems":
    case "minProperties":
    case "minLength":
      return `${here} is ${params.limit === 1 ? "empty" : `too short; at least ${String(params.limit)}`}${wanted(error)}`;
    case "maxItems":
    case "maxProperties":
    case "maxLength":
      return `${here} is too long; at most ${String(params.limit)}`;
    case "format":
      return `${here} is ${shown(error.data, where)}, which is not a ${String(params.format)}; ${FORMAT_HINTS[String(params.format)] ?? "see its description"}`;
    case "uniqueItems":
      return `${here} holds the same value twice`;
    default:
      return `${here} is ${shown(error.data, where)}, which is not valid${wanted(error)}`;
  }
}

/** The key inside the value at `instancePath` that an error is about, if it is one that was written. */
export function keyAtFault(error: ErrorObject): string | undefined {
  const params: Readonly<Record<string, unknown>> = error.params;
  const key = params.additionalProperty ?? params.unevaluatedProperty ?? params.propertyName;
  return typeof key === "string" ? key : undefined;
}

/** A JSON pointer as keys and list positions, told apart by looking at `root`. */
export function pathOf(pointer: string, root: unknown): readonly (string | number)[] {
  let value = root;
  return pointer
    .split("/")
    .slice(1)
    .map((part) => {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const step = Array.isArray(value) ? Number(key) : key;
      value = (value as Record<string | number, unknown> | undefined)?.[step];
      return step;
    });
}

// --- internal ---

const TYPE_WORDS: Readonly<Record<string, string>> = {
  object: "a mapping",
  array: "a list",
  string: "text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  null: "empty",
};
const FORMAT_HINTS: Readonly<Record<string, string>> = { duration: "write it like 90s, 30m, 12h or 1h30m" };
const SECRET_NAME = /pass(?:word|phrase)|secret|token|key/i;

function unknownKey(key: string, error: ErrorObject, where: string): string {
  const known = Object.keys((error.parentSchema as { properties?: object } | undefined)?.properties ?? {});
  const near = nearest(key, known);
  const help = near !== undefined ? `; did you mean "${near}"?` : known.length > 0 ? `; known are ${known.join(", ")}` : "";
  return `unknown key "${clip(key)}"${where === "" ? "" : ` under ${where}`}${help}`;
}

function oneOf(here: string, data: unknown, allowed: readonly unknown[], where: string): string {
  const words = allowed.map((value) => (value === "" ? '""' : String(value)));
  const near = typeof data === "string" ? nearest(data, words) : undefined;
  return `${here} is ${shown(data, where)}; ${near === undefined ? `use one of ${words.join(", ")}` : `did you mean "${near}"?`}`;
}

function nameOf(path: readonly (string | number)[]): string {
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? clip(part) : `.${clip(part)}`))
    .join("");
}

function typeWords(type: unknown): string {
  const types = Array.isArray(type) ? type : [type];
  return types.map((each) => TYPE_WORDS[String(each)] ?? String(each)).join(" or ");
}

function kindOf(data: unknown): string {
  if (data === null || data === undefined) return "empty";
  if (Array.isArray(data)) return "a list";
  if (typeof data === "object") return "a mapping";
  return TYPE_WORDS[typeof data] ?? typeof data;
}

function quoteHint(type: unknown, data: unknown): string {
  return type === "string" && (typeof data === "number" || typeof data === "boolean")
    ? `; write it in quotes: "${String(data)}"`
    : "";
}

/** What would be right, when the schema says it. */
function wanted(error: ErrorObject): string {
  const schema = error.parentSchema as { description?: string; propertyNames?: { description?: string } } | undefined;
  const words = (error.keyword === "propertyNames" ? schema?.propertyNames?.description : undefined) ?? schema?.description;
  return words === undefined ? "" : `; ${lowerFirst(words).replace(/\.$/, "")}`;
}

/** A value in a message. One whose key sounds like a secret is not repeated. */
function shown(data: unknown, where: string): string {
  if (SECRET_NAME.test(where)) return "what it is";
  return typeof data === "object" && data !== null ? kindOf(data) : clip(JSON.stringify(data) ?? "empty");
}

function clip(text: string): string {
  const clean = text.replace(/\p{Cc}/gu, "?");
  return clean.length > 60 ? `${clean.slice(0, 60)}…` : clean;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
