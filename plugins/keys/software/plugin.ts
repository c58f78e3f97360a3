import { join } from "node:path";
import { definePlugin, type Resolve } from "../../../core/plugin/contract.js";
import { DATABASE } from "../../../core/plugin/database.js";
import { CLOCK, PROCESS } from "../../../core/plugin/process.js";
import { Secret } from "../../../core/plugin/secret.js";
import { KEY_BACKEND } from "../../../core/ports/key-backend.js";
import { SEALING } from "./api.js";
import { DataSealing } from "./data-sealing.js";
import { KeyProtection } from "./key-protection.js";
import { CreateSoftwareKeys } from "./migrations/20260101000000-software-keys.js";
import { SoftwareKeyBackend } from "./software-key-backend.js";
import { KeyProtectionEntity, SoftwareKeyEntity } from "./software-key-repository.js";

interface Config {
  readonly passphrase?: Secret;
}

export default definePlugin<Config>({
  register(host, config) {
    let parts: Parts | null = null;
    const partsOf = (resolve: Resolve): Parts => (parts ??= build(resolve, config));

    host.store([KeyProtectionEntity, SoftwareKeyEntity], [{ name: "20260101000000-software-keys", class: CreateSoftwareKeys }]);
    host.implement(KEY_BACKEND, "software", (resolve) => partsOf(resolve).backend);
    host.provide(SEALING, (resolve) => new DataSealing(partsOf(resolve).protection));
    host.run((resolve) => {
      const { protection, backend } = partsOf(resolve);
      return {
        // Opens the data key now, so that a wrong passphrase stops the boot.
        start: async () => void (await protection.dataKey()),
        dispose: async () => {
          backend.close();
          protection.close();
        },
      };
    });
  },
});

// --- internal ---

interface Parts {
  readonly protection: KeyProtection;
  readonly backend: SoftwareKeyBackend;
}

function build(resolve: Resolve, config: Config): Parts {
  const options = { passphrase: config.passphrase ?? fromEnvironment(), keyFile: join(resolve(PROCESS).dataDirectory, "ca.key") };
  const protection = new KeyProtection(resolve(DATABASE), options);
  return { protection, backend: new SoftwareKeyBackend(resolve(DATABASE), protection, resolve(CLOCK)) };
}

function fromEnvironment(): Secret | null {
  const passphrase = process.env.MEZITE_CA_PASSPHRASE;
  return passphrase === undefined ? null : new Secret(passphrase);
}
