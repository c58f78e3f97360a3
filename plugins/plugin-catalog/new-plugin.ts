import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MezError } from "../../core/errors/error.js";
import { systemReason } from "../../core/errors/system-reason.js";
import type { CommandContext } from "../../core/plugin/commands.js";

export interface NewPluginInput {
  readonly id: string;
  /** Name of a template that fills a port. */
  readonly port: string | undefined;
  readonly subsystem: boolean | undefined;
  readonly out: string | undefined;
}

/** `mezctl plugins new`: writes a package that compiles, and whose tests pass. Asks no server. */
export async function newPlugin(context: CommandContext, { id, port, subsystem = false, out }: NewPluginInput): Promise<void> {
  if (!ID.test(id) || id.length > MAX_ID)
    throw new MezError(
      "INVALID_ARGUMENT",
      `"${id.slice(0, 60)}" is no id of a plugin; write it like acme-notes or recording.tape`,
    );
  if ((port !== undefined) === subsystem)
    throw new MezError("INVALID_ARGUMENT", "say what it is: --port=<port> for one that fills a port, or --subsystem");
  const folder = resolve(out ?? packageName(id));
  const words = wordsOf(id, port, context.version);
  await makeFolder(folder);
  const files = [...(await filesOf("package")), ...(await filesOf(port ?? "subsystem"))];
  for (const { path, text } of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(
      file,
      text.replace(/__[A-Z]+__/g, (word) => words[word] ?? word),
      { flag: "wx" },
    );
  }
  context.output.note(`wrote ${folder}; go on there with "npm install --save-dev ${MEZITE}" and "npm test"`);
}

// --- internal ---

const ID = /^[a-z][a-z-]*(\.[a-z][a-z-]*)?$/;
const MAX_ID = 40;
// Seen from the compiled file, in a clone and in the package alike.
const MEZITE = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");
const TEMPLATES = join(MEZITE, "plugins", "plugin-catalog", "templates");
const ENDING = ".template";

function packageName(id: string): string {
  return `mezite-plugin-${id.replace(".", "-")}`;
}

function wordsOf(id: string, port: string | undefined, release: string): Readonly<Record<string, string>> {
  const name = id.split(".").at(-1) as string;
  const command = id.replace(".", "-");
  const snake = command.replaceAll("-", "_");
  const pascal = name.replace(/(?:^|-)+([a-z])/g, (_, letter: string) => letter.toUpperCase()).replaceAll("-", "");
  return {
    __ID__: id,
    __NAME__: name,
    __CLASS__: pascal,
    __PACKAGE__: packageName(id),
    __RELEASE__: release,
    __COMMAND__: command,
    __PERMISSION__: command,
    __EVENT__: `${command}.note`,
    __SERVICE__: `${snake}.v1.${pascal}Service`,
    __TABLE__: `${snake}_${port === undefined ? "notes" : "counts"}`,
    __WHAT__:
      port === undefined
        ? "A subsystem of Mezite: a table, calls, and commands of mezctl."
        : `Fills the port \`${port}\` of Mezite.`,
  };
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    if ((await readdir(folder)).length === 0) return;
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", `cannot write to ${folder}: ${systemReason(cause)}`, { cause });
  }
  throw new MezError("ALREADY_EXISTS", `${folder} is not empty; give another folder with --out`);
}

async function filesOf(template: string): Promise<readonly { readonly path: string; readonly text: string }[]> {
  const folder = join(TEMPLATES, template);
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(ENDING)).sort();
  return Promise.all(
    names.map(async (name) => ({ path: name.slice(0, -ENDING.length), text: await readFile(join(folder, name), "utf8") })),
  );
}
