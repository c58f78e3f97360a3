import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { ProcessInfo } from "../../core/plugin/process.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { Secret } from "../../core/plugin/secret.js";
import type { Clock } from "../../core/time/clock.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";
import type { CertificateAuthorities } from "../ca/api.js";
import type { Access } from "../roles/api.js";
import type { CertificateSteps } from "./certificate-steps.js";
import type { LoginService } from "./login-service.js";
import type { LoginSessions } from "./login-sessions.js";
import type { UserCertificates } from "./user-certificates.js";

export const AUTHENTICATION_RPC: RpcService<typeof AuthenticationServiceService> = {
  name: "mezite.authentication.v1.AuthenticationService",
  definition: AuthenticationServiceService,
  permissions: {
    ping: "public",
    authenticateLocal: "public",
    changePassword: "password:update",
    getSession: "login-session:read",
    logout: "login-session:delete",
    issueUserCerts: "user-certificate:create",
  },
};

export interface AuthenticationRpcParts {
  readonly process: ProcessInfo;
  readonly clock: Clock;
  readonly login: LoginService;
  readonly sessions: LoginSessions;
  readonly certificateSteps: CertificateSteps;
  readonly certificates: UserCertificates;
  readonly authorities: CertificateAuthorities;
  readonly access: Access;
  /** `host:port` of the SSH proxy as clients reach it, or empty. */
  readonly sshProxyAddress: string;
}

/** Answers the calls about logins, passwords and user certificates. */
export function authenticationHandlers(parts: AuthenticationRpcParts): RpcHandlers<typeof AuthenticationServiceService> {
  const { process, clock, login, sessions, certificateSteps, certificates, authorities, access } = parts;
  return {
    async ping() {
      return { clusterName: process.clusterName, version: process.version, time: clock.now() };
    },
    async authenticateLocal({ userName, password, newPassword, ttlSeconds, answers, connector }, { clientAddress }) {
      const opened = await login.logIn({
        connector: connector === "" ? null : connector,
        userName,
        password: new Secret(password),
        newPassword: newPassword === "" ? null : new Secret(newPassword),
        ttlSeconds,
        clientAddress,
        answers: new Map(answers.map(({ step, message }) => [step, message])),
      });
      if ("token" in opened) return { ...opened, token: opened.token.expose(), demands: [] };
      const { demands, mustChangePassword } = opened;
      return { token: "", expiresAt: undefined, notice: "", mustChangePassword, demands: [...demands] };
    },
    async changePassword({ oldPassword, newPassword }, call) {
      await login.changePassword(personOf(call), new Secret(oldPassword), new Secret(newPassword), call.clientAddress);
      return {};
    },
    async getSession(_request, call) {
      const person = personOf(call);
      return {
        userName: person.name,
        roles: [...person.roles],
        logins: [...access.logins({ user: person.name, roles: person.roles })],
        expiresAt: await sessions.expiryOf(person.sessionId),
        sessionId: person.sessionId,
        clusterName: process.clusterName,
      };
    },
    async logout(_request, call) {
      await login.logOut(personOf(call), call.clientAddress);
      return {};
    },
    async issueUserCerts(request, call) {
      const demands = await certificateSteps.take(
        personOf(call),
        {
          sshPublicKey: Buffer.from(request.sshPublicKey),
          x509PublicKey: Buffer.from(request.x509PublicKey),
          answers: new Map(request.answers.map(({ step, message }) => [step, message])),
        },
        call.clientAddress,
      );
      if (demands.length > 0) return { ...NO_CERTIFICATES, demands: [...demands] };
      const issued = await certificates.issue(
        personOf(call),
        {
          sshPublicKey: request.sshPublicKey.length > 0 ? Buffer.from(request.sshPublicKey) : null,
          x509PublicKey: request.x509PublicKey.length > 0 ? Buffer.from(request.x509PublicKey) : null,
          ttlSeconds: request.ttlSeconds,
        },
        call.clientAddress,
      );
      const hosts = authorities.trustBundle("host");
      return {
        sshCertificate: issued.sshCertificate ?? Buffer.alloc(0),
        x509Certificate: issued.x509Certificate ?? "",
        expiresAt: issued.expiresAt,
        logins: [...issued.logins],
        notice: issued.notice,
        clusterName: process.clusterName,
        hostCaKeys: hosts.sshPublicKeys.map((key) => Buffer.from(key, "base64")),
        hostCaCertificates: [...hosts.certificatesPem],
        proxyAddress: parts.sshProxyAddress,
        demands: [],
      };
    },
  };
}

// --- internal ---

const NO_CERTIFICATES = {
  sshCertificate: Buffer.alloc(0),
  x509Certificate: "",
  expiresAt: undefined,
  logins: [],
  notice: "",
  clusterName: "",
  hostCaKeys: [],
  hostCaCertificates: [],
  proxyAddress: "",
};

function personOf({ caller }: CallContext): Caller & { readonly kind: "user" } {
  if (caller.kind !== "user") throw new MezError("ACCESS_DENIED", "this is for people who have logged in");
  return caller;
}
