import { isMezError, MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { type Authority, CaServiceService } from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType } from "./api.js";
import { WIRE_TYPES } from "./authority-message.js";
import { printAuthorities } from "./status-command.js";

/** `mezctl ca rotate` */
export async function rotate(context: CommandContext, type: AuthorityType, keyBackend = ""): Promise<void> {
  const client = await context.rpc(CaServiceService);
  const { authority } = await client.rotate({ type: WIRE_TYPES[type], keyBackend }, { signal: context.signal });
  await show(context, type, authority);
}

export interface Move {
  readonly type: AuthorityType;
  readonly way: "advance" | "rollback";
  readonly force: boolean;
}

/**
 * `mezctl ca advance` and `mezctl ca rollback`: asks at a terminal when somebody would be left behind.
 * @throws {MezError} `ROTATION_NOT_READY` without a terminal, or when the answer is no; `CONFLICT`
 */
export async function move(context: CommandContext, { type, way, force }: Move): Promise<void> {
  const client = await context.rpc(CaServiceService);
  const { authorities } = await client.getStatus({}, { signal: context.signal });
  const expectedPhase = authorities.find((authority) => authority.type === WIRE_TYPES[type])?.phase ?? "";
  const go = async (insisting: boolean): Promise<Authority | undefined> => {
    const request = { type: WIRE_TYPES[type], expectedPhase, force: insisting };
    return (await client[way](request, { signal: context.signal })).authority;
  };
  let moved: Authority | undefined;
  try {
    moved = await go(force);
  } catch (error) {
    if (!isMezError(error, "ROTATION_NOT_READY") || context.stdin.isTTY !== true) throw error;
    if (!(await confirm(context, error))) throw error;
    moved = await go(true);
  }
  await show(context, type, moved);
}

// --- internal ---

const CERTIFIED: Readonly<Record<AuthorityType, string>> = {
  user: "user certificates",
  host: "host certificates",
  spiffe: "SVIDs",
};

/** What a person does in a phase before going on. */
const ADVICE: Readonly<Record<string, (type: AuthorityType) => string>> = {
  none: (type) => `the rotation of the ${type} CA has ended; its new keys are destroyed`,
  init: (type) => `the new keys of the ${type} CA are trusted; advance when "mezctl ca status" shows nobody behind`,
  "update-clients": (type) =>
    type === "host"
      ? "the bundles spread; let people log in or use msh once before going on"
      : `new ${CERTIFIED[type]} come from the new keys`,
  "update-servers": (type) =>
    type === "host" ? "new host certificates come from the new keys" : `new ${CERTIFIED[type]} come from the new keys`,
  standby: (type) => `the old keys of the ${type} CA are still trusted; advance when their certificates have expired`,
  complete: (type) => `the rotation of the ${type} CA is complete; its old keys are destroyed`,
};

async function show(context: CommandContext, type: AuthorityType, authority: Authority | undefined): Promise<void> {
  if (authority === undefined) throw new MezError("INTERNAL", "the auth service did not say what came of it");
  await printAuthorities(context, [authority]);
  const advice = ADVICE[authority.phase]?.(type);
  if (advice !== undefined) context.output.note(advice);
}

async function confirm(context: CommandContext, { message }: MezError): Promise<boolean> {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: context.stdin, output: context.stderr });
  try {
    const answer = await lines.question(`${message}\nGo on all the same (yes/no)? `, { signal: context.signal });
    return /^yes$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
