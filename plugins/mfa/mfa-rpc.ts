import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  type BeginTotpEnrolmentResponse,
  type Ceremony as CeremonyMessage,
  type EnrolmentResult,
  FactorKind as FactorKindMessage,
  type ListFactorsResponse,
  MfaServiceService,
} from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { Ceremonies } from "./ceremonies.js";
import type { OpenedCeremony } from "./ceremony.js";
import type { CodeCheck } from "./code-check.js";
import type { CeremonyToken, Enrolled, Enrolment } from "./enrolment.js";
import type { Factor, FactorKind } from "./factor.js";
import { findFactors } from "./factor-repository.js";
import type { FactorList, FactorService } from "./factor-service.js";
import { factorToMessage, kindFromMessage, kindsFor, kindToMessage, toMessage } from "./mfa-message.js";
import type { SessionProofService } from "./session-proof-service.js";
import type { WebAddress } from "./web-address.js";
import { type RelyingParty, relyingParty } from "./webauthn.js";
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

/** Answers the calls about second factors. */
export function mfaHandlers(parts: MfaRpcParts): RpcHandlers<typeof MfaServiceService> {
  const { database, ceremonies, codes, enrolment, webAuthn, factors, sessions, webAddress, clusterName } = parts;
  const party = (origin: string): RelyingParty => relyingParty(origin, parts.rpId, clusterName);
  const message = async (opened: OpenedCeremony, known?: readonly Factor[]): Promise<CeremonyMessage> =>
    database.read(async (em) =>
      toMessage(opened, {
        factors: known ?? (await findFactors(em, opened.ceremony.userName)),
        webAddress: await webAddress.base(em),
      }),
    );
  const answer: Handlers["answerWithCode"] = async ({ holder, code }, call) => {
    const { kind, recoveryCodesLeft } = await codes.answer(holder, code, call);
    return { kind: kindToMessage(kind), recoveryCodes: recoveryCodesLeft };
  };
  const wait: Handlers["waitForCeremony"] = async ({ holder }, call) => {
    const kind = await ceremonies.wait(holder, call);
    return { isDone: kind !== null, kind: kind === null ? FactorKindMessage.FACTOR_KIND_UNSPECIFIED : kindToMessage(kind) };
  };
  const beginTotp = async (by: CeremonyToken, call: CallContext): Promise<BeginTotpEnrolmentResponse> => {
    const { secret, uri } = await enrolment.beginTotp(by, call);
    return { secret: secret.expose(), uri };
  };
  return {
    async listFactors(_request, call) {
      return listToMessage(await factors.list(nameOf(call)));
    },
    async beginProof(_request, call) {
      const opened = await factors.beginProof(call);
      return { ceremony: opened === null ? undefined : await message(opened) };
    },
    async beginEnrolment({ proof, name }, call) {
      return message(await factors.beginEnrolment(proof, name, call));
    },
    async removeFactor({ factor, proof }, call) {
      await factors.remove(factor, proof, call);
      return {};
    },
    async replaceRecoveryCodes({ proof }, call) {
      return { codes: (await factors.replaceRecoveryCodes(proof, call)).map((code) => code.expose()) };
    },
    answerWithCode: answer,
    async beginTotpEnrolment({ token }, call) {
      return beginTotp({ token: "holder", secret: token }, call);
    },
    async finishTotpEnrolment({ token, code, name }, call) {
      return resultToMessage(await enrolment.finishTotp({ token: "holder", secret: token }, code, name, call));
    },
    waitForCeremony: wait,
    async describeLink({ link }, call) {
      const { ceremony, known } = await database.read(async (em) => {
        const found = await ceremonies.require(em, "link", link, call);
        return { ceremony: found, known: await findFactors(em, found.userName) };
      });
      const { userName, purpose, clientAddress, checkCode, mayEnrol, provenKind } = ceremony;
      const kinds = kindsFor(ceremony, known).map(kindToMessage);
      return {
        userName,
        purpose,
        clientAddress,
        checkCode,
        kinds,
        mustEnrol: mayEnrol,
        isDone: provenKind !== null,
        clusterName,
      };
    },
    async beginWebAuthnLogin({ link, origin }, call) {
      return { json: await webAuthn.begin(link, party(origin), call) };
    },
    async finishWebAuthnLogin({ link, origin, json }, call) {
      return { kind: kindToMessage(await webAuthn.finish(link, json, party(origin), call)) };
    },
    async beginWebAuthnEnrolment({ link, origin }, call) {
      return { json: await enrolment.beginWebAuthn({ token: "link", secret: link }, party(origin), call) };
    },
    async finishWebAuthnEnrolment({ link, origin, json, name }, call) {
      const by = { token: "link", secret: link } as const;
      return resultToMessage(await enrolment.finishWebAuthn(by, { json, name }, party(origin), call));
    },
    async beginTotpOnPage({ token }, call) {
      return beginTotp({ token: "link", secret: token }, call);
    },
    async finishTotpOnPage({ token, code, name }, call) {
      return resultToMessage(await enrolment.finishTotp({ token: "link", secret: token }, code, name, call));
    },
    async announceWebAddress({ address }) {
      await webAddress.announce(address);
      return {};
    },
    async beginSessionProof({ userName, clientAddress, kind }) {
      const { opened, factors: known } = await sessions.begin(userName, clientAddress, demandedKind(kind));
      return message(opened, known);
    },
    answerSessionProof: answer,
    waitForSessionProof: wait,
    async finishSessionProof({ holder }, call) {
      const { userName, kind } = await sessions.use(holder, call);
      return { userName, kind: kindToMessage(kind) };
    },
    async listUserFactors({ userName }) {
      return listToMessage(await factors.list(userName));
    },
    async createEnrolmentLink({ userName }, call) {
      return { ...(await message(await factors.createLink(userName, call))), holder: "" };
    },
    async resetUserFactors({ userName, kind }, call) {
      const wanted = demandedKind(kind);
      return { factors: await factors.reset(userName, wanted === "totp" ? "totp" : "webauthn", call) };
    },
  };
}

// --- internal ---

type Handlers = RpcHandlers<typeof MfaServiceService>;

function nameOf({ caller }: CallContext): string {
  if (caller.kind !== "user") throw new MezError("ACCESS_DENIED", "this is for people who have logged in");
  return caller.name;
}

function demandedKind(message: FactorKindMessage): FactorKind {
  const kind = kindFromMessage(message);
  if (kind === null || kind === "recovery_code") throw new MezError("INVALID_ARGUMENT", "say which kind of factor");
  return kind;
}

function listToMessage({ factors, recoveryCodes }: FactorList): ListFactorsResponse {
  return { factors: factors.map(factorToMessage), recoveryCodes };
}

function resultToMessage({ factor, recoveryCodes }: Enrolled): EnrolmentResult {
  return { factor: factorToMessage(factor), recoveryCodes: recoveryCodes.map((code) => code.expose()) };
}
