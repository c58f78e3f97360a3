import { definePlugin } from "../../../core/plugin/contract.js";
import { LOGGER } from "../../../core/plugin/logger.js";
import { once } from "../../../core/plugin/once.js";
import { PROCESS } from "../../../core/plugin/process.js";
import { KEY_BACKEND } from "../../../core/ports/key-backend.js";
import { KmsClients } from "./kms-clients.js";
import { KmsKeyBackend } from "./kms-key-backend.js";
import { type KmsConfig, kmsSettings } from "./kms-settings.js";

export default definePlugin<KmsConfig>({
  register(host, config) {
    const settings = kmsSettings(config);
    const { region, deletionDays } = settings;
    const clients = once(() => new KmsClients(settings));
    host.implement(KEY_BACKEND, "aws-kms", (resolve) => {
      const { clusterName } = resolve(PROCESS);
      return new KmsKeyBackend({ clients: clients(resolve), logger: resolve(LOGGER), region, deletionDays, clusterName });
    });
    host.run((resolve) => ({ dispose: async () => clients(resolve).close() }));
  },
});
