import { resolve as resolvePath } from "node:path";
import { definePlugin } from "../../../core/plugin/contract.js";
import { LOGGER } from "../../../core/plugin/logger.js";
import { PROCESS } from "../../../core/plugin/process.js";
import { STORAGE_DRIVER } from "../../../core/ports/storage-driver.js";
import { SqliteStorageDriver } from "./sqlite-driver.js";

interface SqliteConfig {
  readonly driver: "sqlite";
  readonly path?: string;
}

export default definePlugin<SqliteConfig>({
  register(host, config) {
    host.implement(
      STORAGE_DRIVER,
      "sqlite",
      (resolve) =>
        new SqliteStorageDriver(resolvePath(resolve(PROCESS).dataDirectory, config.path ?? "mezite.db"), {
          logger: resolve(LOGGER),
        }),
    );
  },
});
