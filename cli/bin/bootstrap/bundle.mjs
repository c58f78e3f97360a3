import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { inProject } from "./project.mjs";
import { BootstrapError } from "./run.mjs";

/**
 * Writes a compiled program and all of the project that it imports into one CommonJS file: finding, reading and linking modules
 * takes longer than the small program that ssh runs for each session does its work.
 * @param entry Path of the program in dist/; it must not wait at its top level.
 * @throws {BootstrapError} for what is not written as the compiler writes our sources
 */
export function bundle(entry, output) {
  const modules = new Map();
  add(modules, entry);
  const definitions = [...modules].map(([path, text]) => `${JSON.stringify(path)}(exports) {\n${text}}`);
  writeFileSync(
    inProject("dist", output),
    `${HEAD}const modules = {\n${definitions.join(",\n")}\n};\nload(${JSON.stringify(entry)});\n`,
  );
}

// --- internal ---

/** What is imported from the project; modules run once, when they are first needed. */
const HEAD = `"use strict";
const loaded = new Map();
function load(path) {
  let exports = loaded.get(path);
  if (exports === undefined) {
    loaded.set(path, (exports = {}));
    modules[path](exports);
  }
  return exports;
}
`;

const IMPORT = /^import \{([^}]*)\} from "([^"]+)";$/gm;
const DYNAMIC_IMPORT = /\bimport\("([^"]+)"\)/g;
const EXPORT = /^export (?=(?:async )?(function\*?|class|const) (\w+))/gm;
const LEFT_OVER = /^(?:import|export)\b|^await\b/m;

function add(modules, path) {
  if (modules.has(path)) return;
  modules.set(path, "");
  const exported = { hoisted: [], rest: [] };
  const found = (specifier) => {
    if (!specifier.startsWith(".")) return `require(${JSON.stringify(specifier)})`;
    const imported = posix.join(dirname(path), specifier);
    add(modules, imported);
    return `load(${JSON.stringify(imported)})`;
  };
  const text = readFileSync(join(inProject("dist"), path), "utf8")
    .replace(/^\/\/# sourceMappingURL=.*$/m, "")
    .replace(IMPORT, (_all, names, specifier) => `const {${names.replaceAll(" as ", ": ")}} = ${found(specifier)};`)
    .replace(DYNAMIC_IMPORT, (_all, specifier) => `Promise.resolve().then(() => ${found(specifier)})`)
    .replace(EXPORT, (_all, kind, name) => {
      (kind.startsWith("function") ? exported.hoisted : exported.rest).push(`exports.${name} = ${name};\n`);
      return "";
    })
    .replaceAll("import.meta.url", "__filename");
  const strange = LEFT_OVER.exec(text);
  if (strange !== null)
    throw new BootstrapError(`dist/${path} cannot be bundled: it has "${text.slice(strange.index).split("\n")[0]}"`);
  modules.set(path, `${exported.hoisted.join("")}${text}\n${exported.rest.join("")}`);
}
