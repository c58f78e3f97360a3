import type { Transaction } from "../../core/plugin/database.js";
import type { ProvenKind } from "./api.js";
import type { Ceremony } from "./ceremony.js";
import type { Factor } from "./factor.js";

/** A factor was proven. */
export function auditProven(tx: Transaction, { userName, purpose, clientAddress }: Ceremony, kind: ProvenKind): void {
  tx.audit({ type: "user.mfa.verified", userName, clientIp: clientAddress, metadata: { purpose, kind } });
}

/** An answer was wrong. */
export function auditFailed(
  tx: Transaction,
  { userName, purpose, clientAddress, failures }: Ceremony,
  reason: string,
  metadata: Readonly<Record<string, unknown>> = {},
): void {
  tx.audit({
    type: "user.mfa.failed",
    userName,
    clientIp: clientAddress,
    success: false,
    errorMessage: reason,
    metadata: { purpose, failures: failures + 1, ...metadata },
  });
}

/** A person has one factor more. */
export function auditAdded(tx: Transaction, { purpose, clientAddress }: Ceremony, { id, userName, kind, name }: Factor): void {
  tx.audit({
    type: "user.mfa.added",
    userName,
    clientIp: clientAddress,
    resourceType: "user",
    resourceName: userName,
    metadata: { purpose, factor_id: id, kind, name },
  });
}
