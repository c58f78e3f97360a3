/** One broken rule: what, where. */
export interface Finding {
  /** From the project's root, with forward slashes. */
  readonly file: string;
  /** Counted from 1; 0 when the whole file is meant. */
  readonly line: number;
  readonly message: string;
}

interface Rule {
  /** Files this rule speaks about; the first rule that matches a file decides. */
  readonly from: RegExp;
  /** What they may import from the project. */
  readonly to: readonly RegExp[];
  /** The same in words, for the message. */
  readonly words: string;
}

// The table of docs/architecture.md, "who may import whom". First match wins. A plugin may import its own folder as well.
const RULES: readonly Rule[] = [
  { from: /^(test\/|.*\.test\.ts$)/, to: [/./], words: "anything" },
  { from: /^proto\//, to: [/^proto\/gen\//], words: "proto/gen" },
  { from: /^plugins\/builtin\.ts$/, to: [/^plugins\//, /^core\//], words: "plugins and core" },
  {
    from: /^plugins\//,
    to: [/^core\/(plugin|ports|errors|time|flow|ssh|tunnel|join)\//, /^proto\/gen\//, /^plugins\/.+\/api\.ts$/],
    words: "core/{plugin,ports,errors,time,flow,ssh,tunnel,join}, proto/gen, its own folder and another plugin's api.ts",
  },
  {
    from: /^core\/(ports|plugin)\//,
    to: [/^core\/(ports|plugin|errors|time)\//, /^plugin\.schema\.json$/],
    words: "core/{ports,plugin,errors,time}",
  },
  { from: /^core\//, to: [/^core\//, /^proto\/gen\//, /^plugin\.schema\.json$/], words: "core and proto/gen" },
  {
    from: /^cli\//,
    to: [/^cli\//, /^core\//, /^proto\/gen\//, /^plugins\/builtin\.ts$/],
    words: "cli, core, proto/gen and plugins/builtin.ts",
  },
  {
    from: /^daemons\//,
    to: [/^daemons\//, /^core\//, /^proto\/gen\//, /^plugins\/builtin\.ts$/],
    words: "daemons, core, proto/gen and plugins/builtin.ts",
  },
];

/** Packages with one home. */
const PACKAGE_HOMES: readonly { readonly name: string; readonly home: RegExp; readonly words: string }[] = [
  { name: "ssh2", home: /^core\/ssh\//, words: "core/ssh" },
  { name: "sshpk", home: /^core\/ssh\//, words: "core/ssh" },
  { name: "tsyringe", home: /^core\/host\/generation\.ts$/, words: "core/host/generation.ts" },
];

/**
 * Checks the imports of one source file.
 * @param file From the project's root, with forward slashes, e.g. `plugins/locks/plugin.ts`.
 * @param pluginFolders Every folder that holds a plugin.json, e.g. `plugins/connector/oidc`.
 */
export function checkImports(file: string, source: string, pluginFolders: readonly string[]): Finding[] {
  const rule = RULES.find((candidate) => candidate.from.test(file));
  return importsOf(source).flatMap(({ specifier, line }): Finding[] => {
    const found = (message: string): Finding[] => [{ file, line, message }];
    if (!specifier.startsWith(".")) {
      const wrong = isTest(file) ? undefined : packageAwayFromHome(file, specifier);
      return wrong ? found(`"${wrong.name}" may be imported only in ${wrong.words}`) : [];
    }
    if (!rule) return found("no import rule covers this folder");
    const target = resolveSpecifier(file, specifier);
    const own = pluginFolderOf(file, pluginFolders);
    if (isTest(target) && !isTest(file)) return found(`may not import ${target}: only tests import tests`);
    const isOwn = own !== null && target.startsWith(`${own}/`);
    if (isOwn || rule.to.some((allowed) => allowed.test(target))) return [];
    return found(`may not import ${target}; it may import ${rule.words}`);
  });
}

/** The modules a source imports or exports from, statically or not, with the line of each. */
export function importsOf(source: string): { readonly specifier: string; readonly line: number }[] {
  const code = withoutComments(source);
  const pattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(["'])([^"'\n]+)\1/g;
  return [...code.matchAll(pattern)].map((match) => ({
    specifier: match[2] ?? "",
    line: code.slice(0, match.index).split("\n").length,
  }));
}

// --- internal ---

function isTest(file: string): boolean {
  return file.startsWith("test/") || file.endsWith(".test.ts");
}

function packageAwayFromHome(file: string, specifier: string) {
  return PACKAGE_HOMES.find(({ name, home }) => (specifier === name || specifier.startsWith(`${name}/`)) && !home.test(file));
}

/** The innermost folder with a manifest; without one, the folder right under plugins/. */
function pluginFolderOf(file: string, pluginFolders: readonly string[]): string | null {
  const holders = pluginFolders.filter((folder) => file.startsWith(`${folder}/`)).sort((a, b) => b.length - a.length);
  return holders[0] ?? /^plugins\/[^/]+(?=\/)/.exec(file)?.[0] ?? null;
}

function resolveSpecifier(file: string, specifier: string): string {
  const url = new URL(specifier, `file:///${file}`);
  return decodeURIComponent(url.pathname.slice(1)).replace(/\.js$/, ".ts");
}

/** Blanks comments, keeping strings and line breaks. */
function withoutComments(source: string): string {
  const token = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return source.replace(token, (whole, text?: string) => text ?? whole.replace(/[^\n]/g, " "));
}
