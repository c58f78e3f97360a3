import { stripVTControlCharacters } from "node:util";
import { type ArgDef, type CommandDef, defineCommand, renderUsage } from "citty";
import type { Command, CommandNode, Flag, Flags } from "../plugin/commands.js";
import { otherNames } from "./command-tree.js";
import { kebabCase, readsFromStdin, variableOf, variablesOf } from "./flag-table.js";

/** What help shows of a place in the command tree. A list of commands needs no more than their summaries. */
export interface UsageOf {
  /** `mezctl locks create` */
  readonly path: string;
  readonly node: Listed | CommandNode;
  readonly globals: Flags;
  readonly colours: boolean;
}

export interface Listed {
  readonly summary: string;
  readonly description?: string;
  readonly commands: readonly {
    readonly name: string;
    readonly summary: string;
    readonly aliases?: readonly string[];
    readonly hidden?: boolean;
  }[];
}

/** Renders the help text of a command or of a list of commands. */
export async function usageText({ path, node, globals, colours }: UsageOf): Promise<string> {
  const list = "commands" in node ? node.commands : [];
  const definition = defineCommand({
    meta: { name: path, description: node.summary },
    args: { ...("commands" in node ? {} : commandArguments(node)), ...flagArguments(globals), help: HELP },
    ...(list.length === 0
      ? {}
      : { subCommands: Object.fromEntries(list.map((child) => [child.name, listedCommand(child, list)])) }),
  });
  let text = await renderUsage(definition);
  const shown = list.filter(({ hidden }) => hidden !== true);
  // citty spells every command out in the first line, all twenty of them.
  text = text.replace(shown.flatMap((child) => [child.name, ...otherNames(child, list)]).join("|") || "\n\n\n", "<command>");
  if (!("commands" in node) && node.rest !== undefined) text = withRest(text, node);
  text = text.replace(RIGHT_ALIGNED, (_line, indent: string, name: string) => `  ${name}${indent.slice(2)}    `);
  if (node.description !== undefined) text = text.replace("\n", () => `\n\n${wrapped(node.description as string)}\n`);
  if (!("commands" in node) && Object.values(node.flags ?? {}).some(({ env, hidden }) => env === false && hidden !== true))
    text = `${text.trimEnd()}\n\nFlags without a variable in brackets have ${variablesOf(path)}_<FLAG>.\n`;
  const examples = "commands" in node ? [] : (node.examples ?? []);
  if (examples.length > 0) text = `${text.trimEnd()}\n\nEXAMPLES\n\n${examples.map((line) => `  ${line}`).join("\n")}\n`;
  text = colours ? text : stripVTControlCharacters(text);
  return `${text
    .replace("[OPTIONS]  ", "[OPTIONS] ")
    .replace(/[ \t]+$/gm, "")
    .trimEnd()}\n`;
}

// --- internal ---

/** The citty command of a node, for a list of commands. */
function listedCommand(node: Listed["commands"][number], siblings: Listed["commands"]): CommandDef {
  return defineCommand({
    meta: { name: node.name, description: node.summary, alias: otherNames(node, siblings), hidden: node.hidden === true },
  });
}

// citty sets names flush right, which nobody finds their way in.
const RIGHT_ALIGNED = /^( {2,})(\S.*?) {4}(?=\S)/gm;

const TEXT_WIDTH = 100;

function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) as string;
    if (line !== "" && line.length + 1 + word.length > TEXT_WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join("\n");
}

const HELP: ArgDef = { type: "boolean", alias: "h", description: "Show this help" };

function commandArguments(command: Command): Record<string, ArgDef> {
  const operands = Object.entries(command.positionals ?? {}).map(
    ([name, { description, required, choices }]): [string, ArgDef] => [
      kebabCase(name),
      {
        type: "positional",
        required: required !== false,
        description: choices === undefined ? description : `${description}: ${choices.join(", ")}`,
      },
    ],
  );
  return { ...Object.fromEntries(operands), ...flagArguments(command.flags ?? {}) };
}

function flagArguments(flags: Flags): Record<string, ArgDef> {
  const visible = Object.entries(flags).filter(([, flag]) => flag.hidden !== true);
  return Object.fromEntries(
    visible.flatMap(([key, flag]): [string, ArgDef][] => {
      const name = kebabCase(key);
      const entry: [string, ArgDef] = [name, flagArgument(key, flag)];
      if (!readsFromStdin(flag)) return [entry];
      return [entry, [`${name}-stdin`, { type: "boolean", description: `Read --${name} from standard input` }]];
    }),
  );
}

function flagArgument(key: string, flag: Flag): ArgDef {
  const variable = flag.env === false ? "" : variableOf(key, flag, "");
  const remarks = [
    flag.repeatable ? "repeatable" : "",
    flag.type === "secret" && flag.required ? "asked for when absent" : "",
    variable,
  ];
  const remark = remarks.filter((part) => part !== "").join(", ");
  const base = {
    description: remark === "" ? flag.description : `${flag.description} [${remark}]`,
    ...(flag.short === undefined ? {} : { alias: flag.short }),
    ...(flag.required && flag.type !== "secret" ? { required: true } : {}),
  };
  if (flag.type === "boolean")
    return { ...base, type: "boolean", ...(flag.default === undefined ? {} : { default: flag.default }) };
  const shown = "default" in flag && flag.default !== undefined ? { default: String(flag.default) } : {};
  if (flag.type === "enum") return { ...base, ...shown, type: "enum", options: [...flag.choices] };
  return { ...base, ...shown, type: "string", valueHint: flag.valueName ?? VALUE_NAMES[flag.type] };
}

const VALUE_NAMES = {
  string: "value",
  duration: "duration",
  integer: "number",
  list: "a,b",
  labels: "k=v,k2=v2",
  secret: "value",
} as const satisfies Record<Exclude<Flag["type"], "boolean" | "enum">, string>;

function withRest(text: string, command: Command): string {
  const { name, required } = command.rest!;
  const word = required ? `<${name.toUpperCase()}>...` : `[${name.toUpperCase()}...]`;
  const lines = text.split("\n");
  const usage = lines.findIndex((line) => stripVTControlCharacters(line).startsWith("USAGE "));
  lines[usage] = `${lines[usage]!.trimEnd()} ${word}`;
  return lines.join("\n");
}
