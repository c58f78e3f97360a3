import type { ErrorObject, ValidateFunction } from "ajv";
import type { Document, LineCounter, Node } from "yaml";
import { MezError } from "../errors/error.js";
import { isDuration } from "../time/duration.js";
import { explain, keyAtFault, pathOf } from "./schema-error.js";

export interface CheckedYamlOptions {
  /** File name for messages; `-` reads `standard input`. */
  readonly file: string;
  /**
   * JSON Schema, draft-07. Its defaults are filled in; its descriptions say what would be right. The format `duration` is
   * what `parseDuration` reads.
   */
  readonly schema: object;
  /** Has the schema checked as well, which is most of the work: for one that is not of the build, whose tests do so. */
  readonly foreignSchema?: boolean;
  /** What the document is, for messages: `role`. */
  readonly what: string;
  /** Named in front of a message about the value at a path, instead of file and line: where the value really came from. */
  readonly origin?: (path: readonly (string | number)[]) => string;
}

/** A document that passed its schema, and still knows where each value was written. */
export interface LocatedYaml<T> {
  readonly value: T;
  /** An error about the value at `path` (or the nearest one above it that was written), with file and line in front. */
  problem(path: readonly (string | number)[], message: string): MezError;
}

/**
 * Reads YAML or JSON and checks it against a schema.
 * @throws {MezError} `INVALID_DOCUMENT`: `role.yaml:7: unknown key "login" under spec.allow; did you mean "logins"?`, with
 *   `file`, `line` and `column` in its fields.
 */
export async function parseCheckedYaml<T = unknown>(text: string, options: CheckedYamlOptions): Promise<T> {
  return (await parseLocatedYaml<T>(text, options)).value;
}

/** Like `parseCheckedYaml`, for a caller with checks of its own to make. */
export async function parseLocatedYaml<T = unknown>(text: string, options: CheckedYamlOptions): Promise<LocatedYaml<T>> {
  const file = options.file === "-" ? "standard input" : options.file;
  if (text.length > MAX_CHARACTERS) throw new MezError("INVALID_DOCUMENT", `${file}: larger than ${MAX_CHARACTERS} characters`);
  const { LineCounter, parseAllDocuments } = await import("yaml");
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: false });
  const document = Array.isArray(documents) ? documents[0] : undefined;
  if (document === undefined || (document.contents === null && document.errors.length === 0)) {
    throw new MezError("INVALID_DOCUMENT", `${file}: is empty; it has to hold a ${options.what}`, { fields: { file } });
  }
  const place = new Place(file, document, lines, options.origin);
  const syntaxError = document.errors[0] ?? document.warnings[0];
  if (syntaxError) throw place.errorAt(syntaxError.pos[0], lowerFirst(syntaxError.message));
  const second = documents[1];
  if (second) throw place.errorAt(second.range[0], `a second document begins here; a file holds one ${options.what}`);

  const value = place.valueOf(options.what);
  const check = await validatorOf(options.schema, options.foreignSchema === true);
  if (!check(value)) throw place.schemaError(check.errors ?? [], options.what);
  return { value: value as T, problem: (path, message) => place.errorOn(path, message) };
}

// --- internal ---

const MAX_CHARACTERS = 1_048_576;
const MAX_ALIASES = 50; // enough for people, too few for a document that unfolds without end
const validators = new WeakMap<object, ValidateFunction>();

async function validatorOf(schema: object, validateSchema: boolean): Promise<ValidateFunction> {
  let validator = validators.get(schema);
  if (!validator) {
    const { Ajv } = await import("ajv");
    const options = {
      allErrors: true,
      verbose: true,
      useDefaults: true,
      strictTypes: false,
      allowUnionTypes: true,
      validateSchema,
    };
    validator = new Ajv({ ...options, formats: { duration: isDuration } }).compile(schema);
    validators.set(schema, validator);
  }
  return validator;
}

class Place {
  constructor(
    private readonly file: string,
    private readonly document: Document.Parsed,
    private readonly lines: LineCounter,
    private readonly origin: CheckedYamlOptions["origin"],
  ) {}

  valueOf(what: string): unknown {
    try {
      return this.document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (cause) {
      throw new MezError("INVALID_DOCUMENT", `${this.file}: this ${what} repeats itself too often with anchors and aliases`, {
        cause,
      });
    }
  }

  /** The first mistake in the order of the file; the number of others is added. */
  schemaError(errors: readonly ErrorObject[], what: string): MezError {
    // What fails inside one branch of anyOf or oneOf is explained by the error of the whole.
    const roots = errors.filter((error) => !/\/(?:anyOf|oneOf)\/\d+\//.test(error.schemaPath) && error.keyword !== "if");
    const found = (roots.length > 0 ? roots : errors).map((error) => {
      const path = pathOf(error.instancePath, this.document.toJS({ maxAliasCount: MAX_ALIASES }));
      const key = keyAtFault(error);
      return { offset: this.offsetOf(path, key), message: explain(error, path, what), path };
    });
    found.sort((left, right) => left.offset - right.offset);
    const messages = [...new Set(found.map((each) => each.message))];
    const others = messages.length - 1;
    const message = `${messages[0]}${others > 0 ? ` (and ${others} more)` : ""}`;
    if (this.origin) return new MezError("INVALID_DOCUMENT", `${this.origin(found[0]?.path ?? [])}: ${message}`);
    return this.errorAt(found[0]?.offset ?? 0, message);
  }

  errorOn(path: readonly (string | number)[], message: string): MezError {
    return this.errorAt(this.offsetOf(path, undefined), message);
  }

  errorAt(offset: number, message: string): MezError {
    const { line, col: column } = this.lines.linePos(offset);
    return new MezError("INVALID_DOCUMENT", `${this.file}:${line}: ${message}`, { fields: { file: this.file, line, column } });
  }

  /** Where `path` was written, or its key `key` when given; the nearest value above when it was not written at all. */
  private offsetOf(path: readonly (string | number)[], key: string | undefined): number {
    const keyNode = this.keyNode(key === undefined ? path : [...path, key]);
    if (keyNode) return keyNode;
    for (let depth = path.length; depth >= 0; depth--) {
      const node = this.document.getIn(path.slice(0, depth), true) as Node | undefined;
      if (node?.range)
        return depth > 0 && depth < path.length ? (this.keyNode(path.slice(0, depth)) ?? node.range[0]) : node.range[0];
    }
    return 0;
  }

  private keyNode(path: readonly (string | number)[]): number | undefined {
    const name = path.at(-1);
    if (name === undefined) return undefined;
    const parent = this.document.getIn(path.slice(0, -1), true) as
      | { items?: readonly { key?: { value?: unknown; range?: readonly number[] } }[] }
      | undefined;
    const pair = parent?.items?.find((item) => item.key !== undefined && String(item.key.value) === String(name));
    return pair?.key?.range?.[0];
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
