import { MezError } from "../../core/errors/error.js";
import type { CallContext } from "../../core/plugin/rpc.js";
import type { ListFactorsResponse } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { FactorList } from "./factor-service.js";
import { ceremonyToMessage, demandedKind, type MfaHandlers } from "./mfa-handlers.js";
import { factorToMessage } from "./mfa-message.js";
import type { MfaRpcParts } from "./mfa-rpc.js";

type FactorCalls =
  | ("listFactors" | "beginProof" | "beginEnrolment" | "removeFactor" | "replaceRecoveryCodes")
  | ("listUserFactors" | "createEnrolmentLink" | "resetUserFactors");

/** Answers the calls of people about their own factors, and of administrators about those of others. */
export function factorHandlers(parts: MfaRpcParts): Pick<MfaHandlers, FactorCalls> {
  const { factors } = parts;
  return {
    async listFactors(_request, call) {
      return listToMessage(await factors.list(nameOf(call)));
    },
    async beginProof(_request, call) {
      const opened = await factors.beginProof(call);
      return { ceremony: opened === null ? undefined : await ceremonyToMessage(parts, opened) };
    },
    async beginEnrolment({ proof, name }, call) {
      return ceremonyToMessage(parts, await factors.beginEnrolment(proof, name, call));
    },
    async removeFactor({ factor, proof }, call) {
      await factors.remove(factor, proof, call);
      return {};
    },
    async replaceRecoveryCodes({ proof }, call) {
      return { codes: (await factors.replaceRecoveryCodes(proof, call)).map((code) => code.expose()) };
    },
    async listUserFactors({ userName }) {
      return listToMessage(await factors.list(userName));
    },
    async createEnrolmentLink({ userName }, call) {
      return { ...(await ceremonyToMessage(parts, await factors.createLink(userName, call))), holder: "" };
    },
    async resetUserFactors({ userName, kind }, call) {
      const wanted = demandedKind(kind);
      return { factors: await factors.reset(userName, wanted === "totp" ? "totp" : "webauthn", call) };
    },
  };
}

// --- internal ---

function nameOf({ caller }: CallContext): string {
  if (caller.kind !== "user") throw new MezError("ACCESS_DENIED", "this is for people who have logged in");
  return caller.name;
}

function listToMessage({ factors, recoveryCodes }: FactorList): ListFactorsResponse {
  return { factors: factors.map(factorToMessage), recoveryCodes };
}
