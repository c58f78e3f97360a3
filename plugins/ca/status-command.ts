import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type Authority, type AuthorityKey, CaServiceService, KeyState } from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType } from "./api.js";
import { authorityTypeOf } from "./authority-message.js";

/** `mezctl ca status`: a row for each key pair of each authority, or of one. */
export async function showStatus(context: CommandContext, type?: AuthorityType): Promise<void> {
  const client = await context.rpc(CaServiceService);
  const { authorities } = await client.getStatus({}, { signal: context.signal });
  await printAuthorities(
    context,
    authorities.filter((authority) => type === undefined || authorityTypeOf(authority.type) === type),
  );
}

/** A row for each key pair; who has not followed a rotation yet is said besides. */
export async function printAuthorities(context: CommandContext, authorities: readonly Authority[]): Promise<void> {
  const rows = authorities.flatMap(({ keys, ...authority }) =>
    keys.map((key) => ({ ...authority, ...key, typeName: authorityTypeOf(authority.type) ?? "unknown" })),
  );
  await context.output.rows(rows, COLUMNS);
  if (context.output.format !== "table") return;
  for (const { type, phase, laggards } of authorities) {
    for (const { kind, name, reason } of laggards)
      context.output.note(`${authorityTypeOf(type) ?? "unknown"} CA, ${phase}: ${kind} ${name} ${reason}`);
  }
}

// --- internal ---

type Row = Omit<Authority, "keys" | "type"> & AuthorityKey & { readonly typeName: string };

const COLUMNS: readonly Column<Row>[] = [
  { key: "type", header: "TYPE", value: (row) => row.typeName },
  { key: "phase", header: "PHASE", value: (row) => row.phase },
  { key: "state", header: "STATE", value: (row) => (row.state === KeyState.KEY_STATE_ACTIVE ? "active" : "trusted") },
  { key: "validCertificates", header: "CERTIFICATES", value: (row) => row.validCertificates, align: "right" },
  { key: "lastCertificateExpiresAt", header: "UNTIL", value: (row) => row.lastCertificateExpiresAt ?? null },
  { key: "behind", header: "BEHIND", value: (row) => row.laggards.length, json: (row) => row.laggards, align: "right" },
  { key: "sshFingerprint", header: "SSH FINGERPRINT", value: (row) => row.sshFingerprint },
  { key: "certificatePin", header: "CERTIFICATE PIN", value: (row) => row.certificatePin },
  { key: "jwtKeyId", header: "JWT KEY", value: (row) => row.jwtKeyId },
  { key: "keyBackend", header: "KEYS IN", value: (row) => row.keyBackend },
  { key: "createdAt", header: "CREATED", value: (row) => row.createdAt },
  { key: "certificateExpiresAt", header: "EXPIRES", value: (row) => row.certificateExpiresAt },
];
