import { resolve as resolvePath } from "node:path";
import { definePlugin } from "../../../core/plugin/contract.js";
import { PROCESS } from "../../../core/plugin/process.js";
import { RECORDING_STORE } from "../../../core/ports/recording-store.js";
import { LocalRecordingStore } from "./local-recording-store.js";

interface LocalRecordingConfig {
  readonly directory: string;
}

export default definePlugin<LocalRecordingConfig>({
  register(host, config) {
    host.implement(
      RECORDING_STORE,
      "local",
      (resolve) => new LocalRecordingStore(resolvePath(resolve(PROCESS).dataDirectory, config.directory)),
    );
  },
});
