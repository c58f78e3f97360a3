import { definePlugin } from "../../core/plugin/contract.js";
import { PLUGIN_HOST } from "../../core/plugin/plugin-host.js";
import { PluginCatalog } from "./plugin-catalog.js";
import { PLUGIN_CATALOG_RPC, pluginCatalogHandlers } from "./plugin-catalog-rpc.js";

export default definePlugin({
  register(host) {
    host.rpc(PLUGIN_CATALOG_RPC, (resolve) => pluginCatalogHandlers(new PluginCatalog(resolve(PLUGIN_HOST))));
  },
});
