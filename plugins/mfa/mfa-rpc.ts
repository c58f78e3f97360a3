import type { Database } from "../../core/plugin/database.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { MfaServiceService } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { Ceremonies } from "./ceremonies.js";
import { ceremonyHandlers } from "./ceremony-handlers.js";
import type { CodeCheck } from "./code-check.js";
import type { Enrolment } from "./enrolment.js";
import { factorHandlers } from "./factor-handlers.js";
import type { FactorService } from "./factor-service.js";
import { pageHandlers } from "./page-handlers.js";
import type { SessionProofService } from "./session-proof-service.js";
import type { WebAddress } from "./web-address.js";
import type { WebAuthnLogin } from "./webauthn-login.js";

export const MFA_RPC: RpcService<typeof MfaServiceService> = {
  name: "mezite.mfa.v1.MfaService",
  definition: MfaServiceService,
  permissions: {
    listFactors: "mfa-factor:list",
    beginProof: "mfa-factor:read",
    beginEnrolment: "mfa-factor:create",
    removeFactor: "mfa-factor:delete",
    replaceRecoveryCodes: "mfa-factor:update",
    answerWithCode: "public",
    beginTotpEnrolment: "public",
    finishTotpEnrolment: "public",
    waitForCeremony: "public",
    describeLink: "mfa-page:use",
    beginWebAuthnLogin: "mfa-page:use",
    finishWebAuthnLogin: "mfa-page:use",
    beginWebAuthnEnrolment: "mfa-page:use",
    finishWebAuthnEnrolment: "mfa-page:use",
    beginTotpOnPage: "mfa-page:use",
    finishTotpOnPage: "mfa-page:use",
    announceWebAddress: "mfa-page:use",
    beginSessionProof: "session-mfa:use",
    answerSessionProof: "session-mfa:use",
    waitForSessionProof: "session-mfa:use",
    finishSessionProof: "session-mfa:use",
    listUserFactors: "user-mfa:list",
    createEnrolmentLink: "user-mfa:create",
    resetUserFactors: "user-mfa:delete",
  },
};

export interface MfaRpcParts {
  readonly database: Database;
  readonly ceremonies: Ceremonies;
  readonly codes: CodeCheck;
  readonly enrolment: Enrolment;
  readonly webAuthn: WebAuthnLogin;
  readonly factors: FactorService;
  readonly sessions: SessionProofService;
  readonly webAddress: WebAddress;
  readonly clusterName: string;
  /** Empty for the name under which a page was opened. */
  readonly rpId: string;
}

/** Answers the calls about second factors: of people and administrators, of whoever holds a ceremony, and of its page. */
export function mfaHandlers(parts: MfaRpcParts): RpcHandlers<typeof MfaServiceService> {
  return { ...factorHandlers(parts), ...ceremonyHandlers(parts), ...pageHandlers(parts) };
}
