require("node:module").enableCompileCache(require("node:path").join(__dirname, "../../node_modules/.cache/mezite"));
