import { readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { isInside } from "./package-tree.js";

/**
 * What kind of module a file is, as Node decides it: by its ending, or by the package.json above it.
 * @param root Folder of the package; what is above does not count.
 */
export function moduleFormat(file: string, root: string): "commonjs" | "module" {
  const ending = extname(file);
  if (ending !== ".js" && ending !== ".ts") return ending === ".cjs" || ending === ".cts" ? "commonjs" : "module";
  for (let folder = dirname(file); isInside(root, folder); folder = dirname(folder)) {
    const type = typeIn(join(folder, "package.json"));
    if (type !== null) return type;
  }
  return "commonjs";
}

// --- internal ---

function typeIn(file: string): "commonjs" | "module" | null {
  try {
    const { type } = JSON.parse(readFileSync(file, "utf8")) as { type?: unknown };
    return type === "module" ? "module" : "commonjs";
  } catch {
    return null;
  }
}
