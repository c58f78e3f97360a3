import type { AuditRecord } from "../../core/plugin/audit.js";
import { type Device, fingerprintOf } from "./device.js";

/** Who makes a change, for the audit log. */
export interface DeviceAuthor {
  readonly userName?: string;
  readonly userRoles?: readonly string[];
  readonly sessionId?: string;
  readonly clientIp: string;
}

/** The record of a change of a device. */
export function auditOf(
  type: "device.enrolled" | "device.revoked" | "device.deleted",
  device: Device,
  author: Partial<DeviceAuthor>,
  more: Readonly<Record<string, string>> = {},
): AuditRecord {
  const { id, userName, name, assurance, endorsementKey } = device;
  return {
    ...author,
    type,
    resourceType: "device",
    resourceName: id,
    metadata: {
      ...{ owner: userName, name, assurance, fingerprint: fingerprintOf(device) },
      ...(endorsementKey === null ? {} : { endorsement_key: endorsementKey }),
      ...more,
    },
  };
}
