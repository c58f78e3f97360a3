import { resolve as resolvePath } from "node:path";
import { definePlugin, type Resolve } from "../../../core/plugin/contract.js";
import { PROCESS } from "../../../core/plugin/process.js";
import { AUDIT_FORWARDER } from "../../../core/ports/audit-forwarder.js";
import { FileForwarder } from "./file-forwarder.js";

interface FileConfig {
  readonly path: string;
}

export default definePlugin<FileConfig>({
  register(host, { path }) {
    let made: FileForwarder | undefined;
    const forwarder = (resolve: Resolve): FileForwarder => {
      made ??= new FileForwarder(resolvePath(resolve(PROCESS).dataDirectory, path));
      return made;
    };
    host.implement(AUDIT_FORWARDER, "file", forwarder);
    host.run(forwarder);
  },
});
