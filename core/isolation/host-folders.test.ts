import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/package.js";
import { hostFolders } from "./host-folders.js";

/** Installed packages by folder, and links by where they lead. */
const LAYOUTS: readonly (readonly [
  what: string,
  root: string,
  folders: readonly string[],
  links: Readonly<Record<string, string>>,
  readable: readonly string[],
])[] = [
  [
    "with its dependencies inside of it",
    "opt/mezite",
    ["opt/mezite/node_modules/ajv", "opt/mezite/node_modules/@x/y"],
    {},
    ["opt/mezite", "opt/mezite/node_modules"],
  ],
  [
    "beside its dependencies",
    "app/node_modules/mezite",
    ["app/node_modules/mezite", "app/node_modules/ajv", "app/node_modules/@x/y"],
    {},
    ["app/node_modules/mezite", "app/node_modules"],
  ],
  [
    "beside links to its dependencies",
    "app/node_modules/mezite",
    ["app/node_modules/mezite", "shared/node_modules/ajv", "shared/node_modules/@x/y"],
    { "app/node_modules/ajv": "shared/node_modules/ajv", "app/node_modules/@x/y": "shared/node_modules/@x/y" },
    ["app/node_modules/mezite", "app/node_modules", "shared/node_modules"],
  ],
  [
    "out of a store of packages",
    "app/node_modules/mezite",
    [
      "app/node_modules/.pnpm/mezite@1/node_modules/mezite",
      "app/node_modules/.pnpm/ajv@8/node_modules/ajv",
      "app/node_modules/.pnpm/y@1/node_modules/@x/y",
    ],
    {
      "app/node_modules/mezite": "app/node_modules/.pnpm/mezite@1/node_modules/mezite",
      "app/node_modules/.pnpm/mezite@1/node_modules/ajv": "app/node_modules/.pnpm/ajv@8/node_modules/ajv",
      "app/node_modules/.pnpm/mezite@1/node_modules/@x/y": "app/node_modules/.pnpm/y@1/node_modules/@x/y",
    },
    [
      "app/node_modules/mezite",
      "app/node_modules/.pnpm/mezite@1/node_modules/mezite",
      "app/node_modules/.pnpm/mezite@1/node_modules",
      "app/node_modules/.pnpm",
    ],
  ],
  [
    "with a dependency that is somebody's working copy",
    "opt/mezite",
    ["opt/mezite/node_modules/@x/y", "home/ajv"],
    { "opt/mezite/node_modules/ajv": "home/ajv" },
    ["opt/mezite", "opt/mezite/node_modules", "home/ajv"],
  ],
];

for (const [what, root, folders, links, readable] of LAYOUTS) {
  test(`finds the code of a host that was installed ${what}`, (t) => {
    const base = realpathSync(temporaryFolder(t));
    for (const folder of folders) mkdirSync(join(base, folder), { recursive: true });
    for (const [link, target] of Object.entries(links)) {
      mkdirSync(dirname(join(base, link)), { recursive: true });
      symlinkSync(join(base, target), join(base, link));
    }
    mkdirSync(join(base, root), { recursive: true });
    writeFileSync(join(base, root, "package.json"), JSON.stringify({ dependencies: { ajv: "8.0.0", "@x/y": "1.0.0" } }));
    assert.deepEqual([...hostFolders(join(base, root))].sort(), readable.map((path) => join(base, path)).sort());
  });
}
