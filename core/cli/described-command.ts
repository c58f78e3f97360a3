import type { DescField, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { MezError } from "../errors/error.js";
import type { CommandGroup, CommandNode } from "../plugin/commands.js";
import { type CellValue, type Column, type Command, command, type Flag, group, type Input } from "../plugin/commands.js";
import type { CommandReference, DescribedArgument, DescribedCommand } from "../plugin/manifest.js";
import { Secret } from "../plugin/secret.js";
import type { DescribedServices } from "../rpc/described-service.js";
import { isReservedFlag } from "./global-flags.js";
import { escapeControls } from "./terminal-text.js";

/**
 * The commands of a plugin that this program has no code of, from what the server says of them. A description can name flags,
 * one method and columns, and nothing that runs here; no variable and no file fills what it names.
 * @throws {MezError} `INVALID_DOCUMENT` for a description that this release does not understand
 */
export function describedGroup({ name, summary, commands = [] }: CommandReference, services: DescribedServices): CommandGroup {
  return group({ name, summary: textOf(summary), commands: commands.map((each) => describedCommand(name, each, services)) });
}

// --- internal ---

const WORD = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const FIELD = /^[a-z][A-Za-z0-9]*$/;
const MAX_TEXT = 200;

function describedCommand(word: string, described: DescribedCommand, services: DescribedServices): CommandNode {
  const unclear = (why: string): MezError =>
    new MezError(
      "INVALID_DOCUMENT",
      `the server describes "${word} ${described.name.slice(0, 40)}" in a way that is not understood: ${why}`,
    );
  if (!WORD.test(described.name)) throw unclear("its name");
  const method = services.method(described.rpc);
  if (method === null) throw unclear("its method");
  const given = described.arguments ?? [];
  for (const each of given) checkArgument(each, method.input, unclear);
  const operands = given.filter(({ positional }) => positional === true);
  const flags = given.filter(({ positional }) => positional !== true);
  const print = printerOf(described, method.output, unclear);
  const definition = { call: services.jsonMethod(method) };
  return command({
    name: described.name,
    summary: textOf(described.summary),
    positionals: Object.fromEntries(
      operands.map(({ name, description, required = false, choices }) => [
        camelCase(name),
        { description: textOf(description), required, ...(choices === undefined ? {} : { choices: choices.map(textOf) }) },
      ]),
    ),
    flags: Object.fromEntries(flags.map((each) => [camelCase(each.name), flagOf(each)])),
    async run(context, input: Input) {
      const request: JsonObject = {};
      for (const { name, field } of given) {
        const value = jsonOf(input[camelCase(name)]);
        if (value !== undefined) request[field] = value;
      }
      const client = await context.rpc(definition);
      const response = await client.call(request, { signal: context.signal });
      if (print === null) return;
      const { rows, record, columns } = print;
      if (rows !== null) await context.output.rows((response[rows] ?? []) as readonly JsonObject[], columns);
      else await context.output.record((record === null ? response : (response[record] ?? {})) as JsonObject, columns);
    },
  }) as Command;
}

type Unclear = (why: string) => MezError;

function checkArgument({ name, type, field, choices }: DescribedArgument, request: DescMessage, unclear: Unclear): void {
  if (!WORD.test(name) || isReservedFlag(name)) throw unclear(`flag "${name.slice(0, 40)}"`);
  if (!TYPES.has(type) || (type === "enum") !== (choices !== undefined)) throw unclear(`the type of --${name}`);
  if (!FIELD.test(field) || fieldOf(request, field) === undefined) throw unclear(`the field of --${name}`);
}

const TYPES: ReadonlySet<string> = new Set(["string", "boolean", "integer", "duration", "list", "labels", "enum", "secret"]);

/** No variable fills it: a name like `auth-token` would otherwise send what the person keeps for something else. */
function flagOf({ type, description, required = false, choices = [] }: DescribedArgument): Flag {
  const base = { description: textOf(description), required, env: false } as const;
  return type === "enum" ? { ...base, type, choices: choices.map(textOf) } : { ...base, type };
}

function jsonOf(value: Input[string]): JsonValue | undefined {
  if (value instanceof Secret) return value.expose();
  return value as JsonValue | undefined;
}

interface Printer {
  readonly rows: string | null;
  readonly record: string | null;
  readonly columns: readonly Column<JsonObject>[];
}

function printerOf({ output }: DescribedCommand, response: DescMessage, unclear: Unclear): Printer | null {
  if (output === undefined) return null;
  const { rows = null, record = null } = output;
  const part = rows ?? record;
  const message = part === null ? response : fieldOf(response, part)?.message;
  if (!message) throw unclear("what it prints");
  const columns = output.columns.map(({ header, field }): Column<JsonObject> => {
    const [first = "", second] = field.split(".");
    const outer = fieldOf(message, first);
    const shown = second === undefined ? outer : outer?.message && fieldOf(outer.message, second);
    if (!shown) throw unclear(`column "${field.slice(0, 60)}"`);
    const read = (row: JsonObject): JsonValue | undefined =>
      second === undefined ? row[first] : (row[first] as JsonObject | null | undefined)?.[second];
    const key = second === undefined ? first : `${first}${second.charAt(0).toUpperCase()}${second.slice(1)}`;
    return { key, header: textOf(header), value: (row) => cellOf(shown, read(row)), shrink: shown.fieldKind !== "scalar" };
  });
  return { rows, record, columns };
}

function cellOf(field: DescField, value: JsonValue | undefined): CellValue {
  if (value === undefined || value === null) return null;
  if (field.message?.typeName === "google.protobuf.Timestamp" && typeof value === "string") return new Date(value);
  if (Array.isArray(value)) return value.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
  if (field.fieldKind === "map") return value as Readonly<Record<string, string>>;
  if (typeof value === "object") return JSON.stringify(value);
  const number = field.fieldKind === "scalar" && !TEXT_SCALARS.has(field.scalar) ? Number(value) : Number.NaN;
  return typeof value === "string" && Number.isSafeInteger(number) ? number : value;
}

const TEXT_SCALARS: ReadonlySet<number> = new Set([9, 12]); // string and bytes, descriptor.proto

function fieldOf(message: DescMessage, name: string): DescField | undefined {
  return message.fields.find(({ jsonName }) => jsonName === name);
}

function textOf(text: string): string {
  return escapeControls(text.slice(0, MAX_TEXT));
}

function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
