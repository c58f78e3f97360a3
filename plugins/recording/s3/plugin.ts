import { resolve as resolvePath } from "node:path";
import { definePlugin } from "../../../core/plugin/contract.js";
import { LOGGER } from "../../../core/plugin/logger.js";
import { once } from "../../../core/plugin/once.js";
import { PROCESS } from "../../../core/plugin/process.js";
import { RECORDING_STORE } from "../../../core/ports/recording-store.js";
import { BUCKET } from "../../s3/api.js";
import { S3RecordingStore } from "./s3-recording-store.js";
import { StageFolder } from "./stage-folder.js";

interface S3RecordingConfig {
  readonly prefix: string;
  readonly directory: string;
}

export default definePlugin<S3RecordingConfig>({
  register(host, { prefix, directory }) {
    const store = once(
      (resolve) =>
        new S3RecordingStore({
          bucket: resolve(BUCKET),
          stage: new StageFolder(resolvePath(resolve(PROCESS).dataDirectory, directory)),
          prefix,
          logger: resolve(LOGGER),
        }),
    );
    host.implement(RECORDING_STORE, "s3", store);
    host.run(store);
  },
});
