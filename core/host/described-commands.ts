import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { isReservedFlag } from "../cli/global-flags.js";
import { MezError } from "../errors/error.js";
import type { DescribedArgument, DescribedCommand, Manifest } from "../plugin/manifest.js";
import { DescribedServices } from "../rpc/described-service.js";

/**
 * Checks that the commands which a manifest describes fit the services that the plugin serves, so that no client has to find out.
 * @param descriptors Of the plugin's own services.
 * @throws {MezError} `PLUGIN_MANIFEST_MISMATCH` naming the command and what does not fit.
 */
export function checkDescribedCommands(manifest: Manifest, descriptors: readonly Uint8Array[]): void {
  const groups = (manifest.contributes?.commands ?? []).filter(({ commands }) => commands !== undefined);
  if (groups.length === 0) return;
  const services = new DescribedServices(descriptors);
  for (const { binary, name, commands = [] } of groups) {
    for (const [index, command] of commands.entries()) {
      const refuse = (why: string): MezError =>
        new MezError(
          "PLUGIN_MANIFEST_MISMATCH",
          `plugin "${manifest.id}" is not what its manifest says: command "${binary} ${name} ${command.name}" ${why}`,
        );
      if (binary !== "mezctl") throw refuse("is described; only commands of mezctl are");
      if (commands.findIndex((each) => each.name === command.name) !== index) throw refuse("is described twice");
      checkCommand(command, services, manifest, refuse);
    }
  }
}

// --- internal ---

type Refuse = (why: string) => MezError;

function checkCommand(command: DescribedCommand, services: DescribedServices, manifest: Manifest, refuse: Refuse): void {
  const [service = ""] = command.rpc.split("/");
  const method = services.method(command.rpc);
  if (method === null || manifest.contributes?.rpc?.includes(service) !== true)
    throw refuse(`calls ${command.rpc}, which is no method of a service that it serves with a descriptor`);
  const names = new Set<string>();
  let hasOptional = false;
  for (const argument of command.arguments ?? []) {
    if (names.has(argument.name)) throw refuse(`has two arguments "${argument.name}"`);
    names.add(argument.name);
    if (isReservedFlag(argument.name)) throw refuse(`has an argument "${argument.name}", which mezctl uses itself`);
    if (argument.positional === true) {
      if (argument.type !== "string" && argument.type !== "enum")
        throw refuse(`has an operand "${argument.name}" of type ${argument.type}`);
      if (hasOptional && argument.required === true)
        throw refuse(`has a required operand "${argument.name}" after an optional one`);
      hasOptional ||= argument.required !== true;
    }
    checkArgument(argument, method.input, refuse);
  }
  const { output } = command;
  if (output === undefined) return;
  if (output.rows !== undefined && output.record !== undefined) throw refuse("prints rows or a record, not both");
  const part = output.rows ?? output.record;
  const row = part === undefined ? method.output : messageAt(method.output, part, output.rows !== undefined);
  if (row === null) throw refuse(`prints "${part}", which the response ${method.output.typeName} does not have`);
  for (const { field } of output.columns) {
    const [first = "", second] = field.split(".");
    const inner = second === undefined ? row : messageAt(row, first, false);
    if (inner === null || fieldOf(inner, second ?? first) === undefined)
      throw refuse(`prints "${field}", which ${row.typeName} does not have`);
  }
}

function checkArgument({ name, type, field, choices }: DescribedArgument, request: DescMessage, refuse: Refuse): void {
  if ((type === "enum") !== (choices !== undefined))
    throw refuse(`argument "${name}" needs choices if it is an enum, and only then`);
  const found = fieldOf(request, field);
  if (found === undefined)
    throw refuse(`argument "${name}" fills "${field}", which the request ${request.typeName} does not have`);
  if (!SHAPES[type].includes(shapeOf(found))) throw refuse(`argument "${name}" is a ${type}, which field "${field}" cannot hold`);
}

const SHAPES: Readonly<Record<DescribedArgument["type"], readonly string[]>> = {
  string: ["string"],
  enum: ["string"],
  secret: ["string"],
  boolean: ["bool"],
  integer: ["integer"],
  duration: ["integer"],
  list: ["strings"],
  labels: ["labels"],
};

const STRING = 9; // FieldDescriptorProto.Type, descriptor.proto
const BOOL = 8;
const INTEGERS: readonly number[] = [3, 4, 5, 13, 17, 18];

function shapeOf(field: DescField): string {
  if (field.fieldKind === "list") return field.listKind === "scalar" && field.scalar === STRING ? "strings" : "other";
  if (field.fieldKind === "map")
    return field.mapKind === "scalar" && field.mapKey === STRING && field.scalar === STRING ? "labels" : "other";
  if (field.fieldKind !== "scalar") return "other";
  if (field.scalar === STRING) return "string";
  if (field.scalar === BOOL) return "bool";
  return INTEGERS.includes(field.scalar) ? "integer" : "other";
}

function fieldOf(message: DescMessage, name: string): DescField | undefined {
  return message.fields.find(({ jsonName }) => jsonName === name);
}

function messageAt(message: DescMessage, name: string, isList: boolean): DescMessage | null {
  const field = fieldOf(message, name);
  if (field === undefined) return null;
  if (isList) return field.fieldKind === "list" && field.listKind === "message" ? field.message : null;
  return field.fieldKind === "message" ? field.message : null;
}
