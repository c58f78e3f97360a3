import { AttemptLimiter } from "../../core/plugin/attempt-limiter.js";
import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin, type Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { AUTHENTICATOR } from "../../core/ports/authenticator.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { CONNECTOR } from "../../core/ports/connector.js";
import { GUARD } from "../../core/ports/guard.js";
import { LOGIN_STEP } from "../../core/ports/login-step.js";
import { parseDuration } from "../../core/time/duration.js";
import { CERTIFICATE_AUTHORITIES } from "../ca/api.js";
import { SECOND_FACTOR } from "../cluster-config/api.js";
import { ACCESS, USERS_COLLECTION } from "../roles/api.js";
import { OUTSIDE_USERS } from "../users/api.js";
import { LOGIN_SESSIONS_ENDED, PASSWORDS, SESSION_TTL } from "./api.js";
import { AUTHENTICATION_RPC, authenticationHandlers } from "./authentication-rpc.js";
import { CertificateSteps } from "./certificate-steps.js";
import { LoginService } from "./login-service.js";
import { LoginSessionRecord } from "./login-session-repository.js";
import { LoginSessionSweeper } from "./login-session-sweeper.js";
import { LoginSessions } from "./login-sessions.js";
import { LoginSteps } from "./login-steps.js";
import { CreateAuthentication } from "./migrations/001-authentication.js";
import { AddLoginDevice } from "./migrations/002-login-device.js";
import { type ClaimRule, OutsideLogin } from "./outside-login.js";
import { PasswordRecord } from "./password-repository.js";
import { PasswordService } from "./password-service.js";
import { SessionAuthenticator } from "./session-authenticator.js";
import { UserCertificates } from "./user-certificates.js";

interface Config {
  readonly session_ttl: string;
  readonly certificate_ttl: string;
  readonly password_min_length: number;
  readonly free_attempts_per_user: number;
  readonly free_attempts_per_address: number;
  readonly attempt_window: string;
  readonly max_attempt_delay: string;
  readonly ssh_proxy_address: string;
  readonly connector_roles: readonly ClaimRule[];
}

export default definePlugin<Config>({
  register(host, config) {
    let known: LoginSessions | undefined;
    const sessions = (resolve: Resolve): LoginSessions => (known ??= new LoginSessions(resolve(DATABASE), resolve(CLOCK)));
    const passwords = (resolve: Resolve): PasswordService =>
      new PasswordService(resolve(CLOCK), config.password_min_length, sessions(resolve));
    const limits = {
      freePerUser: config.free_attempts_per_user,
      freePerAddress: config.free_attempts_per_address,
      windowSeconds: parseDuration(config.attempt_window),
      maxDelaySeconds: parseDuration(config.max_attempt_delay),
    };
    const fileTtlSeconds = Math.min(parseDuration(config.session_ttl), SESSION_TTL.maxSeconds);
    const certificateTtlSeconds = parseDuration(config.certificate_ttl);

    host.store(
      [PasswordRecord, LoginSessionRecord],
      [
        { name: "001-authentication", class: CreateAuthentication },
        { name: "002-login-device", class: AddLoginDevice },
      ],
    );
    host.provide(PASSWORDS, passwords);
    host.implement(
      AUTHENTICATOR,
      "session",
      (resolve) =>
        new SessionAuthenticator(
          sessions(resolve),
          resolve(COLLECTIONS).of(USERS_COLLECTION),
          resolve(ACCESS),
          resolve.latePort(GUARD),
          resolve(DATABASE),
        ),
    );
    host.implement(CLUSTER_SETTING, SESSION_TTL.key, () => ({
      setting: SESSION_TTL,
      file: { key: "authentication.session_ttl", value: fileTtlSeconds },
    }));
    host.on(LOGIN_SESSIONS_ENDED, (resolve) => async (event) => sessions(resolve).forget(event), {
      everyServer: true,
      missed: (resolve) => () => sessions(resolve).forgetAll(),
    });
    host.run((resolve) => new LoginSessionSweeper(sessions(resolve), resolve(LOGGER)));
    host.rpc(AUTHENTICATION_RPC, (resolve) => {
      const authorities = resolve(CERTIFICATE_AUTHORITIES);
      const access = resolve(ACCESS);
      const guards = resolve.latePort(GUARD);
      const settings = resolve(CLUSTER_SETTINGS);
      return authenticationHandlers({
        process: resolve(PROCESS),
        clock: resolve(CLOCK),
        login: new LoginService({
          database: resolve(DATABASE),
          clock: resolve(CLOCK),
          users: resolve(COLLECTIONS).of(USERS_COLLECTION),
          access,
          limiter: new AttemptLimiter(resolve(CLOCK), limits),
          sessions: sessions(resolve),
          passwords: passwords(resolve),
          guards,
          steps: resolve.port(LOGIN_STEP),
          outside: new OutsideLogin({
            connectors: resolve.latePort(CONNECTOR),
            users: resolve.late(OUTSIDE_USERS),
            rules: config.connector_roles,
          }),
          demandedSteps: () => (settings.get(SECOND_FACTOR) === "required" ? ["mfa"] : []),
          defaultTtlSeconds: () => settings.get(SESSION_TTL),
        }),
        sessions: sessions(resolve),
        certificateSteps: new CertificateSteps(resolve(DATABASE), new LoginSteps(resolve.port(LOGIN_STEP), () => [])),
        certificates: new UserCertificates({
          ...{ database: resolve(DATABASE), clock: resolve(CLOCK), users: resolve(COLLECTIONS).of(USERS_COLLECTION) },
          ...{ sessions: sessions(resolve), authorities, access, guards, defaultTtlSeconds: certificateTtlSeconds },
        }),
        authorities,
        access,
        sshProxyAddress: config.ssh_proxy_address,
      });
    });
  },
});
