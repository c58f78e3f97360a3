import type { Column } from "../../core/plugin/commands.js";
import type { Device } from "../../proto/gen/mezite/devices/v1/devices.js";
import { assuranceWord } from "./device-message.js";

/** How devices are shown. */
export const DEVICE_COLUMNS: readonly Column<Device>[] = [
  { key: "id", header: "ID", value: ({ id }) => id },
  { key: "userName", header: "User", value: ({ userName }) => userName },
  { key: "name", header: "Name", value: ({ name }) => name, shrink: true },
  { key: "assurance", header: "Assurance", value: ({ assurance }) => assuranceWord(assurance) },
  { key: "state", header: "State", value: ({ revokedAt }) => (revokedAt === undefined ? "enrolled" : "revoked") },
  { key: "createdAt", header: "Enrolled", value: ({ createdAt }) => createdAt },
  { key: "lastUsedAt", header: "Last used", value: ({ lastUsedAt }) => lastUsedAt ?? null },
  { key: "fingerprint", header: "Key", value: ({ fingerprint }) => `SHA256:${fingerprint}`, shrink: true },
];
