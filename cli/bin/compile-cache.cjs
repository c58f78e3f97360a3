// Keeps the compiled code of the programs, in a folder in which nobody but this user and root can put other code.
const { statSync } = require("node:fs");
const { enableCompileCache } = require("node:module");
const { join } = require("node:path");

const folder = join(__dirname, "../../node_modules/.cache/mezite");
const stats = statSync(folder, { throwIfNoEntry: false });
const isOurs = stats === undefined || ((stats.mode & 0o022) === 0 && [0, process.getuid?.()].includes(stats.uid));
if (isOurs) enableCompileCache(folder);
