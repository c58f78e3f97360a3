import { AUTH_DOOR } from "../../core/plugin/auth-door.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { LIVE_SESSIONS } from "../../core/plugin/live-sessions.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, LEASES, PROCESS } from "../../core/plugin/process.js";
import { parseStaleAfter } from "../../core/plugin/stale-after.js";
import { WEB_DOOR } from "../../core/plugin/web-door.js";
import { GUARD, onGuardChange } from "../../core/ports/guard.js";
import { parseAddress } from "../../core/tunnel/stream-dialer.js";
import { TunnelDirectory } from "../../core/tunnel/tunnel-directory.js";
import type { SessionEncryption } from "../../core/tunnel/tunnel-protocol.js";
import { AUDIT_REPORTER } from "../audit/api.js";
import { CA_KEYS } from "../ca/api.js";
import { SESSION_PROOFS } from "../mfa/api.js";
import { NODES, PROXIES } from "../nodes/api.js";
import { SESSION_RECORDER } from "../recordings/api.js";
import {
  ACCESS,
  GRANTS_COLLECTION,
  MACHINE_INSTANCES_COLLECTION,
  MACHINES_COLLECTION,
  ROLES_COLLECTION,
  USERS_COLLECTION,
} from "../roles/api.js";
import { SESSION_REPORTER } from "../sessions/api.js";
import { AgentlessAccess } from "./agentless-access.js";
import { AgentlessDoor } from "./agentless-door.js";
import { AgentlessHostKeys } from "./agentless-host-keys.js";
import { CertificateGate } from "./certificate-gate.js";
import { DenialLog } from "./denial-log.js";
import { FactorQuestion } from "./factor-question.js";
import { parseListenAddress, parsePublicAddress } from "./listen-address.js";
import { ProxyServer } from "./proxy-server.js";
import { SessionPolicy } from "./session-policy.js";
import { webPublicAddress } from "./web-address.js";
import { WebFront } from "./web-front.js";

interface ProxyConfig {
  readonly ssh_listen_addr: string;
  readonly tunnel_listen_addr: string;
  readonly public_listen_addr: string;
  readonly public_addr: string;
  readonly web_listen_addr: string;
  readonly web_public_addr: string;
  readonly web_tls?: { readonly certificate: string; readonly key: string };
  readonly peers: readonly string[];
  readonly session_encryption: SessionEncryption;
  readonly policy_stale_after: string;
}

export default definePlugin<ProxyConfig>({
  register(host, config) {
    const sshListen = parseListenAddress("ssh_listen_addr", config.ssh_listen_addr);
    const tunnelListen = parseListenAddress("tunnel_listen_addr", config.tunnel_listen_addr);
    const optional = (key: "public_listen_addr" | "web_listen_addr") =>
      config[key] === "" ? null : parseListenAddress(key, config[key]);
    const [publicListen, webListen] = [optional("public_listen_addr"), optional("web_listen_addr")];
    const publicAddress = parsePublicAddress("public_addr", config.public_addr);
    const webAddress = webPublicAddress({
      own: parsePublicAddress("web_public_addr", config.web_public_addr),
      ...{ publicAddress, publicListen, webListen },
    });
    for (const address of config.peers) parseAddress(address);
    const staleAfterSeconds = parseStaleAfter("proxy.policy_stale_after", config.policy_stale_after);

    host.run((resolve) => {
      const collections = resolve(COLLECTIONS);
      const [nodes, caKeys] = [collections.of(NODES), collections.of(CA_KEYS)];
      const [clock, logger] = [resolve(CLOCK), resolve(LOGGER)];
      const identities = resolve(HOST_IDENTITIES);
      const access = resolve(ACCESS);
      const guards = resolve.latePort(GUARD);
      const { clusterName } = resolve(PROCESS);
      const gate = new CertificateGate(caKeys, access, clock, guards);
      const policy = new SessionPolicy({
        ...{ collections, nodes, access, gate, guards, clusterName, staleAfterSeconds },
        proxyName: () => identities.of("proxy").current().name,
      });
      const audit = resolve(AUDIT_REPORTER);
      const denials = new DenialLog(audit, logger, clock);
      const [liveSessions, leases] = [resolve(LIVE_SESSIONS), resolve(LEASES)];
      const agentlessAccess = new AgentlessAccess({ connection: () => identities.of("proxy").connection() });
      return new ProxyServer({
        identity: () => identities.of("proxy"),
        gate,
        policy,
        denials,
        agentless: new AgentlessDoor({
          ...{ policy, denials, audit, gate, nodes, liveSessions, leases, clock, logger },
          access: agentlessAccess,
          hostKeys: new AgentlessHostKeys(agentlessAccess, caKeys, clock),
          recorder: resolve.late(SESSION_RECORDER),
          reporter: resolve.late(SESSION_REPORTER),
        }),
        factorQuestion: new FactorQuestion({ proofs: resolve.late(SESSION_PROOFS), logger }),
        directory: new TunnelDirectory(),
        sessionEncryption: config.session_encryption,
        watched: [
          ...[collections.of(ROLES_COLLECTION), collections.of(USERS_COLLECTION), collections.of(GRANTS_COLLECTION)],
          ...[collections.of(PROXIES), collections.of(MACHINES_COLLECTION), collections.of(MACHINE_INSTANCES_COLLECTION)],
          { onChange: (listener: () => void) => onGuardChange(guards, listener) },
        ],
        guards,
        liveSessions,
        leases,
        collections,
        nodes,
        proxies: collections.of(PROXIES),
        clusterName,
        clock,
        logger,
        sshListen,
        tunnelListen,
        publicListen,
        publicAddress,
        peerAddresses: config.peers,
        hostAuthorities: () => caKeys.get("host"),
        authDoor: resolve(AUTH_DOOR),
        web:
          webAddress === null
            ? null
            : new WebFront({
                ...{ door: resolve(WEB_DOOR), listen: webListen, publicAddress: webAddress },
                certificateFiles: config.web_tls ?? null,
              }),
      });
    });
  },
});
