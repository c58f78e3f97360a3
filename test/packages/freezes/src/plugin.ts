import { CLOCK, COLLECTIONS, DATABASE, DUTIES, definePlugin, GUARD, LOGGER, once, parseDuration, Sweeper } from "mezite/plugin";
import { FREEZES, FROZEN } from "./freeze.js";
import { FreezeGuard } from "./freeze-guard.js";
import { FREEZE_RPC, freezeHandlers } from "./freeze-rpc.js";
import { FreezeService } from "./freeze-service.js";
import { ENTITIES, MIGRATIONS } from "./freeze-store.js";

interface Config {
  readonly longest: string;
}

export default definePlugin<Config>({
  register(host, config) {
    const longestSeconds = parseDuration(config.longest);

    if (host.roles.has("proxy") || host.roles.has("node")) {
      host.implement(GUARD, "freezes", (resolve) => new FreezeGuard(resolve(COLLECTIONS).of(FREEZES), resolve(CLOCK)));
    }
    if (!host.roles.has("auth")) return;

    const service = once((resolve) => new FreezeService(resolve(DATABASE), resolve(CLOCK), longestSeconds));
    host.store(ENTITIES, MIGRATIONS);
    host.publish(FREEZES, service);
    host.rpc(FREEZE_RPC, (resolve) => freezeHandlers(service(resolve)));
    host.on(
      FROZEN,
      (resolve) =>
        async ({ node }) =>
          resolve(LOGGER).info("frozen", { node }),
    );
    host.run((resolve) => {
      const sweep = () => service(resolve).sweep();
      return new Sweeper({ what: "expired freezes", everyMs: 60_000, sweep, logger: resolve(LOGGER), duties: resolve(DUTIES) });
    });
  },
});
