import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type AuthorityKey, AuthorityType, CaServiceService, KeyState } from "../../proto/gen/mezite/ca/v1/ca.js";

/** `mezctl ca status`: a row for each key pair of each authority. */
export async function showStatus(context: CommandContext): Promise<void> {
  const client = await context.rpc(CaServiceService);
  const { authorities } = await client.getStatus({}, { signal: context.signal });
  const rows = authorities.flatMap(({ type, phase, keys }) =>
    keys.map((key) => ({ type: type === AuthorityType.AUTHORITY_TYPE_USER ? "user" : "host", phase, ...key })),
  );
  await context.output.rows(rows, COLUMNS);
}

// --- internal ---

type Row = AuthorityKey & { readonly type: string; readonly phase: string };

const COLUMNS: readonly Column<Row>[] = [
  { key: "type", header: "TYPE", value: (row) => row.type },
  { key: "phase", header: "PHASE", value: (row) => row.phase },
  { key: "state", header: "STATE", value: (row) => (row.state === KeyState.KEY_STATE_ACTIVE ? "active" : "trusted") },
  { key: "sshFingerprint", header: "SSH FINGERPRINT", value: (row) => row.sshFingerprint },
  { key: "certificatePin", header: "CERTIFICATE PIN", value: (row) => row.certificatePin },
  { key: "createdAt", header: "CREATED", value: (row) => row.createdAt },
  { key: "certificateExpiresAt", header: "EXPIRES", value: (row) => row.certificateExpiresAt },
];
