import { definePlugin } from "../../../core/plugin/contract.js";
import { LOGGER } from "../../../core/plugin/logger.js";
import { STORAGE_DRIVER } from "../../../core/ports/storage-driver.js";
import { PostgresqlStorageDriver } from "./postgresql-driver.js";
import { type PostgresqlConfig, postgresqlSettings } from "./postgresql-settings.js";

export default definePlugin<PostgresqlConfig>({
  register(host, config) {
    const settings = postgresqlSettings(config);
    host.implement(STORAGE_DRIVER, "postgresql", (resolve) => new PostgresqlStorageDriver(settings, resolve(LOGGER)));
  },
});
