import { AttemptLimiter } from "../../core/plugin/attempt-limiter.js";
import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin, type Registrar, type Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { Sweeper } from "../../core/plugin/sweeper.js";
import { WEB_DOOR } from "../../core/plugin/web-door.js";
import { LOGIN_STEP } from "../../core/ports/login-step.js";
import { USER_DATA } from "../../core/ports/user-data.js";
import { parseDuration } from "../../core/time/duration.js";
import { MfaServiceService } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import { SECOND_FACTOR } from "../cluster-config/api.js";
import { SEALING } from "../keys/software/api.js";
import { USERS_COLLECTION } from "../roles/api.js";
import { CEREMONY_DONE, SESSION_PROOFS } from "./api.js";
import { Ceremonies } from "./ceremonies.js";
import type { MfaClient } from "./ceremony-client.js";
import { CeremonyRecord } from "./ceremony-repository.js";
import { CodeCheck } from "./code-check.js";
import { Enrolment } from "./enrolment.js";
import { FactorRecord } from "./factor-repository.js";
import { FactorService } from "./factor-service.js";
import { LoginFactor } from "./login-factor.js";
import { MFA_RPC, mfaHandlers } from "./mfa-rpc.js";
import { CreateMfa } from "./migrations/001-mfa.js";
import { MFA_ROUTES, pageHandlers } from "./page-routes.js";
import { RecoveryCodeRecord } from "./recovery-code-repository.js";
import { RemoteSessionProofs } from "./remote-session-proofs.js";
import { SessionProofService } from "./session-proof-service.js";
import { checkWebAddress, WebAddress, WebAddressRecord } from "./web-address.js";
import { WebAnnouncer } from "./web-announcer.js";
import { WebAuthnLogin } from "./webauthn-login.js";

interface Config {
  readonly web_address: string;
  readonly rp_id: string;
  readonly enrolment_link_ttl: string;
  readonly free_attempts_per_user: number;
  readonly free_attempts_per_address: number;
}

export default definePlugin<Config>({
  register(host, config) {
    if (host.roles.has("proxy")) registerProxy(host);
    if (!host.roles.has("auth")) return;

    if (config.web_address !== "") checkWebAddress(config.web_address);
    const limits = {
      freePerUser: config.free_attempts_per_user,
      freePerAddress: config.free_attempts_per_address,
      windowSeconds: 900,
      maxDelaySeconds: 900,
    };
    const ceremonies = once((resolve) => new Ceremonies(resolve(DATABASE), resolve(CLOCK)));
    const webAddress = once((resolve) => new WebAddress(resolve(DATABASE), resolve(CLOCK), config.web_address));
    const factors = once((resolve) => {
      const settings = resolve(CLUSTER_SETTINGS);
      return new FactorService({
        database: resolve(DATABASE),
        ceremonies: ceremonies(resolve),
        users: resolve(COLLECTIONS).of(USERS_COLLECTION),
        mode: () => settings.get(SECOND_FACTOR),
        linkTtlSeconds: parseDuration(config.enrolment_link_ttl),
      });
    });

    host.store([FactorRecord, RecoveryCodeRecord, CeremonyRecord, WebAddressRecord], [{ name: "001-mfa", class: CreateMfa }]);
    host.implement(LOGIN_STEP, "mfa", (resolve) => {
      const settings = resolve(CLUSTER_SETTINGS);
      return new LoginFactor({
        ceremonies: ceremonies(resolve),
        mode: () => settings.get(SECOND_FACTOR),
        webAddress: ({ em }) => webAddress(resolve).base(em),
      });
    });
    host.on(CEREMONY_DONE, (resolve) => async (event) => ceremonies(resolve).wake(event), {
      everyServer: true,
      missed: (resolve) => () => ceremonies(resolve).wakeAll(),
    });
    host.implement(USER_DATA, "mfa", factors);
    host.run(
      (resolve) =>
        new Sweeper({
          what: "second factors that took too long",
          everyMs: 60_000,
          sweep: () => ceremonies(resolve).sweep(),
          logger: resolve(LOGGER),
          duties: resolve(DUTIES),
        }),
    );
    host.rpc(MFA_RPC, (resolve) => {
      const parts = {
        database: resolve(DATABASE),
        clock: resolve(CLOCK),
        ceremonies: ceremonies(resolve),
        sealing: resolve(SEALING),
        limiter: new AttemptLimiter(resolve(CLOCK), limits),
        clusterName: resolve(PROCESS).clusterName,
      };
      return mfaHandlers({
        ...parts,
        codes: new CodeCheck(parts),
        enrolment: new Enrolment(parts),
        webAuthn: new WebAuthnLogin(parts),
        factors: factors(resolve),
        sessions: new SessionProofService({ ...parts, users: resolve(COLLECTIONS).of(USERS_COLLECTION) }),
        webAddress: webAddress(resolve),
        rpId: config.rp_id,
      });
    });
  },
});

// --- internal ---

/** The pages, and the proofs of sessions, go by the auth service alone. */
function registerProxy(host: Registrar): void {
  const client = (resolve: Resolve): (() => MfaClient) => {
    const identities = resolve(HOST_IDENTITIES);
    return () => identities.of("proxy").connection().client(MfaServiceService);
  };
  host.web(MFA_ROUTES, (resolve) => pageHandlers(client(resolve)));
  host.run((resolve) => new WebAnnouncer(resolve(WEB_DOOR), client(resolve), resolve(LOGGER)));
  host.provide(SESSION_PROOFS, (resolve) => new RemoteSessionProofs(client(resolve)));
}
