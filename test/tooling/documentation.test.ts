import assert from "node:assert/strict";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { isGroup, leavesOf } from "../../core/cli/command-tree.js";
import { flagTable, variableOf } from "../../core/cli/flag-table.js";
import { loadCommand } from "../../core/cli/route.js";
import { loadConfig } from "../../core/config/load.js";
import type { Binary } from "../../core/plugin/commands.js";
import { eventCodeOf } from "../../plugins/audit/event-code.js";
import { parseRoleDocument } from "../../plugins/roles/role-document.js";
import { parseWorkloadDocument } from "../../plugins/workload-identities/workload-document.js";
import { BUILTIN_MANIFESTS, configKeys } from "../fixtures/config-keys.js";
import { projectFile } from "../fixtures/project-file.js";
import { checkCommand, commandsIn, PROGRAMS } from "./command-line.js";
import { type Markdown, readMarkdown } from "./markdown.js";

const ROOT = fileURLToPath(projectFile("."));
const DOCUMENTS = [...globSync("*.md", { cwd: ROOT }), ...globSync("docs/**/*.md", { cwd: ROOT })].sort();

for (const path of DOCUMENTS) {
  const document = read(path);
  test(`${path}: links lead somewhere`, () => {
    for (const { target, line } of document.links) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const place = join(dirname(path), file);
      const there = file === "" ? path : place;
      assert.ok(existsSync(join(ROOT, there)), `${path}:${line}: ${target} does not exist`);
      if (anchor !== undefined && statSync(join(ROOT, there)).isFile()) {
        assert.ok(read(there).anchors.has(anchor), `${path}:${line}: ${there} has no heading #${anchor}`);
      }
    }
  });

  test(`${path}: commands exist and take what is shown`, async () => {
    for (const { text, line, whole } of shellOf(document)) {
      for (const command of commandsIn(text)) {
        const shown = `${path}:${line}: ${command.binary} ${command.args.join(" ")}`;
        await assert.doesNotReject(checkCommand(command, whole), shown);
      }
    }
  });

  test(`${path}: roles, workload identities and configurations are valid`, async (t) => {
    for (const { language, text, line } of document.blocks) {
      if (language !== "yaml") continue;
      const where = `${path}:${line}`;
      if (text.includes("kind: role")) await assert.doesNotReject(parseRoleDocument(text, where), where);
      else if (text.includes("kind: workload_identity")) await assert.doesNotReject(parseWorkloadDocument(text, where), where);
      else await assert.doesNotReject(loadConfig(fileOf(t, text), BUILTIN_MANIFESTS, {}), where);
    }
  });

  test(`${path}: keys of the config file and variables exist`, async (t) => {
    const variables = await knownVariables(t);
    for (const { text, line } of [...document.spans, ...document.blocks]) {
      for (const [name] of text.matchAll(/\bMEZITE_[A-Z0-9_]+\b/g)) {
        assert.ok(variables.has(name) || name.endsWith("_"), `${path}:${line}: nothing reads ${name}`);
      }
    }
    for (const { text, line } of document.spans) {
      if (!SECTION_KEY.test(text) || EVENT_TYPES.has(text) || text.endsWith(".json")) continue;
      assert.ok(
        CONFIG_KEYS.has(text) ||
          CONFIG_KEYS_TEXT.includes(`\n${text}.`) ||
          (path === "docs/kubernetes.md" && CHART_VALUES.has(text)),
        `${path}:${line}: the config file has no ${text}`,
      );
    }
  });
}

test("docs/audit.md: every type of event has its line, with its code", () => {
  const text = readFileSync(join(ROOT, "docs/audit.md"), "utf8");
  for (const type of EVENT_TYPES) {
    assert.match(text, new RegExp(`^\\| \`${type.replaceAll(".", "\\.")}\` +\\| ${eventCodeOf(type)} `, "m"), type);
  }
});

// --- internal ---

const CONFIG_KEYS = new Set([...configKeys().map(({ path }) => path.join(".")), "database.driver"]);
/** Of Helm's chart: those of its sections. */
const CHART_VALUES = new Set(
  Object.entries(parse(readFileSync(projectFile("config/helm/mezite/values.yaml"), "utf8"))).flatMap(([section, values]) =>
    Object.keys(Object(values)).map((name) => `${section}.${name}`),
  ),
);
const CONFIG_KEYS_TEXT = `\n${[...CONFIG_KEYS].join("\n")}`;
const SECTION_KEY = new RegExp(`^(${[...new Set(configKeys().map(({ path }) => path[0]))].join("|")})\\.[a-z][a-z0-9_.-]*$`);
/** Those of plugins, and of the core. */
const EVENT_TYPES = new Set<string>([
  ...BUILTIN_MANIFESTS.flatMap(({ contributes }) => contributes?.auditEvents ?? []),
  "authz.denied",
  "database.moved",
  "plugin.package.refused",
]);
/** Set by the node for sessions, or read before there is a command line. */
const OTHER_VARIABLES = ["MEZITE_SESSION_ID", "MEZITE_CA_PASSPHRASE", "MEZITE_DEBUG", "MEZITE_DATA_DIR"];

function read(path: string): Markdown {
  return readMarkdown(readFileSync(join(ROOT, path), "utf8"));
}

/** What could be typed: lines of blocks, after a `$` where answers are shown, and what stands in a sentence, which may be cut short. */
function shellOf(document: Markdown) {
  const blocks = document.blocks
    .filter(({ language }) => ["sh", "console", "ini", "yml"].includes(language))
    .map((block) => ({ ...block, text: typedIn(block) }));
  const spans = document.spans.filter(({ text }) => /^(?:npx )?(?:mezctl|msh|mezd)\s/.test(text));
  return [...blocks.map((block) => ({ ...block, whole: true })), ...spans.map((span) => ({ ...span, whole: false }))];
}

/** `yml` is of other programs: of a workflow, its steps are typed. */
function typedIn({ language, text }: { readonly language: string; readonly text: string }): string {
  if (language === "console") return text.replace(/^(?!\$ ).*$/gm, "");
  return language === "yml" ? text.replace(/^ *(?:- )?(?:run: )?/gm, "") : text;
}

function fileOf(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "mezite-docs-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "mezite.yaml"), text.replaceAll(/(env|file):[\w/.-]+/g, "a-secret"));
  return join(folder, "mezite.yaml");
}

/** Every variable that the configuration looks at, and those of all flags. */
async function knownVariables(t: TestContext): Promise<ReadonlySet<string>> {
  const known = new Set(OTHER_VARIABLES);
  const env = new Proxy<Record<string, string | undefined>>({}, { get: (_, name) => void known.add(String(name)) });
  await loadConfig(fileOf(t, "{}\n"), BUILTIN_MANIFESTS, env);
  for (const binary of Object.keys(PROGRAMS) as Binary[]) {
    const { globals, commands } = PROGRAMS[binary];
    for (const summary of commands) {
      const node = await loadCommand(summary, binary);
      for (const { path, command } of isGroup(node) ? leavesOf(node) : [{ path: [node.name], command: node }]) {
        for (const { key, flag, role } of flagTable(globals, command).long.values())
          if (role === "global" || role === "flag") known.add(variableOf(key, flag, [binary, ...path].join(" ")));
      }
    }
  }
  return known;
}
