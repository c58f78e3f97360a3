import { readFileSync } from "node:fs";

/** The folder of the package: where plugin.schema.json and package.json lie. */
export const PACKAGE_ROOT = new URL(import.meta.url.includes("/dist/") ? "../../" : "../", import.meta.url);

/** The version of this release. */
export const RELEASE: string = (JSON.parse(readFileSync(new URL("package.json", PACKAGE_ROOT), "utf8")) as { version: string })
  .version;
