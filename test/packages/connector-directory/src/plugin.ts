import { CONNECTOR, definePlugin, type Secret } from "mezite/plugin";
import { DirectoryConnector } from "./directory-connector.js";

interface Config {
  readonly url: string;
  readonly token: Secret;
}

export default definePlugin<Config>({
  register(host, { url, token }) {
    host.implement(CONNECTOR, "directory", () => new DirectoryConnector(url, token));
  },
});
