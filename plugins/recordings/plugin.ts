import { join } from "node:path";
import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK, LEASES, PROCESS } from "../../core/plugin/process.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { RECORDING_STORE } from "../../core/ports/recording-store.js";
import { RecordingServiceService } from "../../proto/gen/mezite/recordings/v1/recordings.js";
import { HOST_SEALS } from "../ca/api.js";
import { NODE_INVENTORY } from "../nodes/api.js";
import { AbandonedRecordings } from "./abandoned-recordings.js";
import { RECORDING_MODE, RECORDING_POLICY, SESSION_RECORDER } from "./api.js";
import { DiskRecordingSpool } from "./disk-recording-spool.js";
import { CreateRecordings } from "./migrations/001-recordings.js";
import { AddSeals } from "./migrations/002-seals.js";
import { CreateRecordingTexts } from "./migrations/003-recording-texts.js";
import { AddAbandoned } from "./migrations/004-abandoned.js";
import { RecordingRecord } from "./recording-repository.js";
import { RECORDING_RPC, recordingHandlers } from "./recording-rpc.js";
import { RecordingSearch } from "./recording-search.js";
import { RecordingService } from "./recording-service.js";
import { RecordingTextIndex } from "./recording-text-index.js";
import { RecordingText } from "./recording-text-repository.js";
import { RecordingUploader } from "./recording-uploader.js";
import { SpoolFolder } from "./spool-folder.js";
import { SpoolSessionRecorder } from "./spool-session-recorder.js";

interface RecordingsConfig {
  readonly mode: "node" | "proxy" | "off";
  readonly policy: "strict" | "best_effort";
  readonly max_exec_output_bytes: number;
}

export default definePlugin<RecordingsConfig>({
  register(host, config) {
    for (const [setting, key] of [
      [RECORDING_MODE, "mode"],
      [RECORDING_POLICY, "policy"],
    ] as const) {
      const file = { key: `plugins.recordings.config.${key}`, value: config[key] };
      host.implement(CLUSTER_SETTING, setting.key, () => ({ setting, file }));
    }
    if (host.roles.has("auth")) {
      host.store(
        [RecordingRecord, RecordingText],
        [
          { name: "001-recordings", class: CreateRecordings },
          { name: "002-seals", class: AddSeals },
          { name: "003-recording-texts", class: CreateRecordingTexts },
          { name: "004-abandoned", class: AddAbandoned },
        ],
      );
      const index = once((resolve) => {
        const [database, store, logger] = [resolve(DATABASE), resolve(RECORDING_STORE), resolve(LOGGER)];
        return new RecordingTextIndex({ database, store, logger, duties: resolve(DUTIES) });
      });
      const service = once((resolve) => {
        const common = { database: resolve(DATABASE), store: resolve(RECORDING_STORE), clock: resolve(CLOCK) };
        const { clusterName } = resolve(PROCESS);
        const onComplete = () => index(resolve).wake();
        return new RecordingService({ ...common, seals: resolve(HOST_SEALS), clusterName, onComplete });
      });
      host.rpc(RECORDING_RPC, (resolve) =>
        recordingHandlers(service(resolve), new RecordingSearch(resolve(DATABASE), resolve(RECORDING_STORE))),
      );
      host.run(index);
      host.run((resolve) => {
        const [database, clock, duties, logger] = [resolve(DATABASE), resolve(CLOCK), resolve(DUTIES), resolve(LOGGER)];
        const [recordings, inventory] = [service(resolve), resolve(NODE_INVENTORY)];
        return new AbandonedRecordings({ database, recordings, inventory, clock, duties, logger });
      });
    }
    if (!host.roles.has("proxy") && !host.roles.has("node")) return;
    const spool = once((resolve) => {
      const identities = resolve(HOST_IDENTITIES);
      const leases = resolve(LEASES);
      const logger = resolve(LOGGER);
      return new DiskRecordingSpool({
        folder: new SpoolFolder(join(resolve(PROCESS).dataDirectory, "recordings")),
        uploader: new RecordingUploader({
          client: (by) => identities.of(by).connection().client(RecordingServiceService),
          logger,
        }),
        maxExecOutputBytes: config.max_exec_output_bytes,
        by: host.roles.has("node") ? "node" : "proxy",
        // The same in every generation of this process, and in no other process.
        processId: `${process.pid}.${performance.timeOrigin}`,
        takeLease: () => leases.take(),
        clock: resolve(CLOCK),
        logger,
      });
    });
    host.provide(
      SESSION_RECORDER,
      (resolve) =>
        new SpoolSessionRecorder({
          spool: spool(resolve),
          cluster: resolve(CLUSTER_SETTINGS),
          clock: resolve(CLOCK),
          logger: resolve(LOGGER),
        }),
    );
    host.run(spool);
  },
});
