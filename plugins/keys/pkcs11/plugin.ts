import { definePlugin } from "../../../core/plugin/contract.js";
import { LOGGER } from "../../../core/plugin/logger.js";
import { once } from "../../../core/plugin/once.js";
import { KEY_BACKEND } from "../../../core/ports/key-backend.js";
import { Pkcs11KeyBackend } from "./pkcs11-key-backend.js";
import { type Pkcs11Config, pkcs11Settings } from "./pkcs11-settings.js";
import { SessionPool } from "./session-pool.js";

const GRACE_MS = 2_000;

export default definePlugin<Pkcs11Config>({
  register(host, config) {
    const { home, former } = pkcs11Settings(config);
    const pools = once((resolve) => [home, ...former].map((settings) => new SessionPool(settings, resolve(LOGGER))));
    host.implement(KEY_BACKEND, "pkcs11", (resolve) => new Pkcs11KeyBackend(pools(resolve)));
    host.run((resolve) => ({
      start: async () => {
        for (const pool of pools(resolve)) await pool.start();
      },
      dispose: async () => {
        await Promise.all(pools(resolve).map((pool) => pool.close(GRACE_MS)));
      },
    }));
  },
});
