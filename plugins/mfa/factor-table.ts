import type { Column } from "../../core/plugin/commands.js";
import { type Factor, FactorKind } from "../../proto/gen/mezite/mfa/v1/mfa.js";

/** How factors are listed. */
export const FACTOR_COLUMNS: readonly Column<Factor>[] = [
  { key: "name", header: "Name", value: (factor) => factor.name },
  { key: "type", header: "Type", value: ({ kind }) => TYPES[kind] ?? "unknown" },
  { key: "createdAt", header: "Added", value: (factor) => factor.createdAt },
  { key: "lastUsedAt", header: "Last used", value: (factor) => factor.lastUsedAt },
  { key: "id", header: "Id", value: (factor) => factor.id, shrink: true },
];

// --- internal ---

const TYPES: Readonly<Partial<Record<FactorKind, string>>> = {
  [FactorKind.FACTOR_KIND_TOTP]: "totp",
  [FactorKind.FACTOR_KIND_WEBAUTHN]: "webauthn",
  [FactorKind.FACTOR_KIND_HARDWARE_KEY]: "hardware_key",
};
