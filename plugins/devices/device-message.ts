import { Assurance as AssuranceMessage, type Device as DeviceMessage } from "../../proto/gen/mezite/devices/v1/devices.js";
import { type Assurance, type Device, fingerprintOf } from "./device.js";

/** A device as it is sent. */
export function toMessage(device: Device): DeviceMessage {
  const { id, userName, name, assurance, createdAt, lastUsedAt, revokedAt, revokedBy } = device;
  return {
    ...{ id, userName, name, createdAt, revokedBy, fingerprint: fingerprintOf(device) },
    assurance: ASSURANCES[assurance],
    lastUsedAt: lastUsedAt ?? undefined,
    revokedAt: revokedAt ?? undefined,
  };
}

/** How an assurance is shown. */
export function assuranceWord(message: AssuranceMessage): string {
  return Object.entries(ASSURANCES).find(([, known]) => known === message)?.[0] ?? "unknown";
}

// --- internal ---

const ASSURANCES: Readonly<Record<Assurance, AssuranceMessage>> = {
  file: AssuranceMessage.ASSURANCE_FILE,
  tpm: AssuranceMessage.ASSURANCE_TPM,
  tpm_unverified: AssuranceMessage.ASSURANCE_TPM_UNVERIFIED,
};
