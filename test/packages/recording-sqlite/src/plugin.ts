import { resolve as resolvePath } from "node:path";
import { definePlugin, once, PROCESS, RECORDING_STORE } from "mezite/plugin";
import { SqliteRecordingStore } from "./recording-store.js";

interface Config {
  readonly file: string;
}

export default definePlugin<Config>({
  register(host, { file }) {
    const store = once((resolve) => new SqliteRecordingStore(resolvePath(resolve(PROCESS).dataDirectory, file)));
    host.implement(RECORDING_STORE, "sqlite", store);
    host.run((resolve) => ({ start: async () => store(resolve).open(), dispose: async () => store(resolve).close() }));
  },
});
