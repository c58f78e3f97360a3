import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers } from "../../core/plugin/rpc.js";
import type {
  BeginTotpEnrolmentResponse,
  Ceremony as CeremonyMessage,
  EnrolmentResult,
  FactorKind as FactorKindMessage,
  MfaServiceService,
} from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { OpenedCeremony } from "./ceremony.js";
import type { CeremonyToken, Enrolled, Enrolment } from "./enrolment.js";
import type { Factor, FactorKind } from "./factor.js";
import { findFactors } from "./factor-repository.js";
import { factorToMessage, kindFromMessage, toMessage } from "./mfa-message.js";
import type { MfaRpcParts } from "./mfa-rpc.js";

/** All calls of the plugin; each file of handlers answers some of them. */
export type MfaHandlers = RpcHandlers<typeof MfaServiceService>;

/** @param known Factors of the person, when they have been read. */
export async function ceremonyToMessage(
  { database, webAddress }: Pick<MfaRpcParts, "database" | "webAddress">,
  opened: OpenedCeremony,
  known?: readonly Factor[],
): Promise<CeremonyMessage> {
  return database.read(async (em) =>
    toMessage(opened, {
      factors: known ?? (await findFactors(em, opened.ceremony.userName)),
      webAddress: await webAddress.base(em),
    }),
  );
}

/** Begins the enrolment of an authenticator app, by the one token of a ceremony or the other. */
export async function beginTotp(enrolment: Enrolment, by: CeremonyToken, call: CallContext): Promise<BeginTotpEnrolmentResponse> {
  const { secret, uri } = await enrolment.beginTotp(by, call);
  return { secret: secret.expose(), uri };
}

/** @throws {MezError} `INVALID_ARGUMENT` for what nobody can be asked for */
export function demandedKind(message: FactorKindMessage): FactorKind {
  const kind = kindFromMessage(message);
  if (kind === null || kind === "recovery_code") throw new MezError("INVALID_ARGUMENT", "say which kind of factor");
  return kind;
}

export function resultToMessage({ factor, recoveryCodes }: Enrolled): EnrolmentResult {
  return { factor: factorToMessage(factor), recoveryCodes: recoveryCodes.map((code) => code.expose()) };
}
