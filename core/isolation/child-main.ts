import { Socket } from "node:net";
import { ChildPlugin } from "./child-plugin.js";

/**
 * What runs in the process of an isolated plugin. File descriptor 3 leads to the host; when the host is gone, so is this
 * process, whatever the plugin does.
 */
const connection = new Socket({ fd: 3, readable: true, writable: true });
const plugin = new ChildPlugin(connection, () => process.exit(0));
process.on("uncaughtException", (error) => plugin.crash(error));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {}); // the host decides when it ends
