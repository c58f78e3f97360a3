import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { CA_KEYS } from "../ca/api.js";
import { JWT_ISSUER, JWT_ISSUER_COLLECTION } from "./api.js";
import { KEY_ROUTES, keyHandlers } from "./key-routes.js";

interface Config {
  readonly jwt_issuer: string;
}

export default definePlugin<Config>({
  register(host, config) {
    if (host.roles.has("auth")) {
      const issuer = { url: config.jwt_issuer === "" ? null : config.jwt_issuer };
      host.provide(JWT_ISSUER, () => issuer);
      host.publish(JWT_ISSUER_COLLECTION, () => ({ entries: async () => [["issuer", issuer]] }));
    }
    if (host.roles.has("proxy"))
      host.web(KEY_ROUTES, (resolve) => {
        const collections = resolve(COLLECTIONS);
        const [caKeys, issuers] = [collections.of(CA_KEYS), collections.of(JWT_ISSUER_COLLECTION)];
        return keyHandlers({
          bundle: () => caKeys.get("spiffe")?.spiffe ?? null,
          issuer: () => issuers.get("issuer")?.url ?? null,
        });
      });
  },
});
