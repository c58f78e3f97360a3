import { after } from "node:test";
import { definePlugin, type PortView } from "../../core/plugin/contract.js";
import type { RpcDialer } from "../../core/plugin/dialer.js";
import type { Manifest } from "../../core/plugin/manifest.js";
import { Secret } from "../../core/plugin/secret.js";
import { CLUSTER_SETTING, type DeclaredSetting } from "../../core/ports/cluster-setting.js";
import { grpcDialer } from "../../core/rpc/client.js";
import { BUILTIN_PLUGINS } from "../../plugins/builtin.js";
import { AuthServiceSessions } from "../../plugins/web-sessions/auth-service-sessions.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { UserServiceService } from "../../proto/gen/mezite/users/v1/users.js";
import { testClusterSetting } from "../contracts/cluster-setting.js";
import { testWebAuthenticator } from "../contracts/web-authenticator.js";
import { entryOf, manifestOf } from "../fixtures/plugins.js";
import { startTestCluster, type TestCluster } from "./test-cluster.js";

const PASSWORD = "correct horse battery staple";

/** The suites of ports that are filled by plugins of the build, and need a server around them. */
let settings: PortView<DeclaredSetting> | null = null;
const reader = entryOf(
  manifestOf("settings-reader", { runsIn: ["auth"], requires: [{ service: CLUSTER_SETTING.id, version: 1 }] }),
  definePlugin({
    register(host) {
      host.run((resolve) => {
        settings = resolve.port(CLUSTER_SETTING);
        return {};
      });
    },
  }),
);
let starting: Promise<TestCluster> | null = null;
const started = (): Promise<TestCluster> => (starting ??= startTestCluster({ plugins: [reader] }));
after(async () => (await starting)?.stop());

const names = BUILTIN_PLUGINS.flatMap(({ manifest, onByDefault }) =>
  onByDefault === true ? ((manifest as Manifest).implements ?? []) : [],
)
  .filter(({ port, runsIn }) => port === CLUSTER_SETTING.id && (runsIn === undefined || runsIn.includes("auth")))
  .map(({ name }) => name);
for (const name of names) {
  testClusterSetting(name, async () => {
    await started();
    return (settings as PortView<DeclaredSetting>).get(name);
  });
}

testWebAuthenticator("session", async () => {
  const cluster = await started();
  const dialer: RpcDialer = { dial: (options) => grpcDialer.dial({ ...options, trust: { kind: "none" } }) };
  const sessions = new AuthServiceSessions({ dialer, addresses: [cluster.address], authorities: () => [] });
  const users = cluster.rpc(UserServiceService);
  for (const name of ["alice", "bob"])
    await users.createUser({ name, roles: ["access"], internalTraits: {}, password: PASSWORD, requireChange: false });
  const anonymous = grpcDialer.dial({ addresses: [cluster.address], trust: { kind: "none" } });
  return {
    authenticator: sessions,
    logIn: async (userName) => {
      const request = { userName, password: PASSWORD, ttlSeconds: 0, newPassword: "", answers: [], connector: "" };
      return new Secret((await anonymous.client(AuthenticationServiceService).authenticateLocal(request)).token);
    },
    end: (token) => sessions.end(token, AbortSignal.timeout(60_000)),
    close: async () => anonymous.close(),
  };
});
