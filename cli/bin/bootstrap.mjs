#!/usr/bin/env node
// The project's commands on a fresh clone: Node 20 or later, no node_modules. Only Node's own modules may be imported here.
import { compile } from "./bootstrap/compile.mjs";
import { installDependencies, linkCommands } from "./bootstrap/install.mjs";
import { format, generateProto, lint } from "./bootstrap/lint.mjs";
import { buildNativeParts } from "./bootstrap/native.mjs";
import { installPeers } from "./bootstrap/peers.mjs";
import { BootstrapError, mezdFlags, runProgram } from "./bootstrap/run.mjs";
import { runTests } from "./bootstrap/tests.mjs";

const COMMANDS = {
  /** Installs and compiles; every step is skipped when nothing changed. */
  build() {
    installDependencies();
    linkCommands();
    buildNativeParts();
    compile();
  },
  start(args) {
    COMMANDS.build();
    return runProgram("daemons/mezd.js", ["start", "--config", "config/mezite.dev.yaml", ...args], mezdFlags());
  },
  demo(args) {
    COMMANDS.build();
    return runProgram("test/demo/demo.js", args);
  },
  bench(args) {
    COMMANDS.build();
    return runProgram("test/bench/bench.js", args);
  },
  /** How a cluster grows with its agents; apart, since it takes gigabytes and half an hour. */
  "bench:scale"(args) {
    COMMANDS.build();
    return runProgram("test/bench/scale.js", args);
  },
  lint() {
    COMMANDS.build();
    lint();
  },
  test(args) {
    COMMANDS.build();
    lint();
    return runTests(args, installPeers());
  },
  /** Another release beside this one; apart, since it needs a checkout of that. */
  "test:upgrade"(args) {
    COMMANDS.build();
    return runProgram("test/upgrade/upgrade.js", args);
  },
  format() {
    installDependencies();
    format();
  },
  proto() {
    installDependencies();
    generateProto();
  },
};

const [name = "", ...args] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
try {
  if (Number.parseInt(process.versions.node, 10) < 20)
    throw new BootstrapError(`Node 20 or later is needed; this is ${process.versions.node}`);
  if (!command) throw new BootstrapError(`command "${name}" is unknown; use one of ${Object.keys(COMMANDS).join(", ")}`);
  process.exitCode = (await command(args)) ?? 0;
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
