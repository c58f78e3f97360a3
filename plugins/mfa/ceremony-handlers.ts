import { FactorKind as FactorKindMessage } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import { beginTotp, ceremonyToMessage, demandedKind, type MfaHandlers, resultToMessage } from "./mfa-handlers.js";
import { kindToMessage } from "./mfa-message.js";
import type { MfaRpcParts } from "./mfa-rpc.js";

type CeremonyCalls =
  | ("answerWithCode" | "beginTotpEnrolment" | "finishTotpEnrolment" | "waitForCeremony")
  | ("beginSessionProof" | "answerSessionProof" | "waitForSessionProof" | "finishSessionProof");

/** Answers whoever holds a ceremony: a program that logs somebody in, and a proxy that asks before a session. */
export function ceremonyHandlers(parts: MfaRpcParts): Pick<MfaHandlers, CeremonyCalls> {
  const { ceremonies, codes, enrolment, sessions } = parts;
  const answer: MfaHandlers["answerWithCode"] = async ({ holder, code }, call) => {
    const { kind, recoveryCodesLeft } = await codes.answer(holder, code, call);
    return { kind: kindToMessage(kind), recoveryCodes: recoveryCodesLeft };
  };
  const wait: MfaHandlers["waitForCeremony"] = async ({ holder }, call) => {
    const kind = await ceremonies.wait(holder, call);
    return { isDone: kind !== null, kind: kind === null ? FactorKindMessage.FACTOR_KIND_UNSPECIFIED : kindToMessage(kind) };
  };
  return {
    answerWithCode: answer,
    async beginTotpEnrolment({ token }, call) {
      return beginTotp(enrolment, { token: "holder", secret: token }, call);
    },
    async finishTotpEnrolment({ token, code, name }, call) {
      return resultToMessage(await enrolment.finishTotp({ token: "holder", secret: token }, code, name, call));
    },
    waitForCeremony: wait,
    async beginSessionProof({ userName, clientAddress, kind }) {
      const { opened, factors: known } = await sessions.begin(userName, clientAddress, demandedKind(kind));
      return ceremonyToMessage(parts, opened, known);
    },
    answerSessionProof: answer,
    waitForSessionProof: wait,
    async finishSessionProof({ holder }, call) {
      const { userName, kind } = await sessions.use(holder, call);
      return { userName, kind: kindToMessage(kind) };
    },
  };
}
