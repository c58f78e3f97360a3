import { resolve as resolvePath } from "node:path";
import { definePlugin } from "../../../core/plugin/contract.js";
import { once } from "../../../core/plugin/once.js";
import { PROCESS } from "../../../core/plugin/process.js";
import { AUDIT_FORWARDER } from "../../../core/ports/audit-forwarder.js";
import { FileForwarder } from "./file-forwarder.js";

interface FileConfig {
  readonly path: string;
}

export default definePlugin<FileConfig>({
  register(host, { path }) {
    const forwarder = once((resolve) => new FileForwarder(resolvePath(resolve(PROCESS).dataDirectory, path)));
    host.implement(AUDIT_FORWARDER, "file", forwarder);
    host.run(forwarder);
  },
});
