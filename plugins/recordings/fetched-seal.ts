import type { CommandContext } from "../../core/plugin/commands.js";
import type { RpcClient } from "../../core/plugin/rpc.js";
import { type RecordingServiceService, RecordingState } from "../../proto/gen/mezite/recordings/v1/recordings.js";
import { SealCheck } from "./seal-check.js";

/** What is to be said of the seal of a recording. */
export interface FetchedSeal {
  /** `null` for a recording without a seal. */
  readonly check: SealCheck | null;
  /** It is not complete yet, and will be sealed then. */
  readonly isGrowing: boolean;
}

/**
 * Asks the auth service for the seal of a recording and verifies it.
 * @throws {MezError} `SEAL_BROKEN`, `NOT_FOUND`
 */
export async function fetchSeal(
  context: CommandContext,
  client: Pick<RpcClient<typeof RecordingServiceService>, "getRecordingSeal">,
  id: string,
): Promise<FetchedSeal> {
  const { state, ...seal } = await client.getRecordingSeal({ id }, { signal: context.signal });
  const isGrowing = state === RecordingState.RECORDING_STATE_RECORDING;
  return { check: seal.statement === "" ? null : SealCheck.begin(id, seal), isGrowing };
}

/** One line for people, after the bytes were compared. */
export function sealRemark({ check, isGrowing }: FetchedSeal): string {
  if (isGrowing) return "unsealed: it is still growing, and is sealed when it is complete";
  if (check === null) return "unsealed: it was made before recordings were sealed, so nothing shows whether it was changed";
  const { user, login, node, startedAt, sealedAt } = check.facts;
  return `seal verified: ${user} as ${login} on ${node}, begun ${startedAt}, sealed ${sealedAt} by the Host CA ${check.keyFingerprint}`;
}
