import type { Collection } from "../../core/plugin/collection.js";
import type { Guard, GuardRefusal, GuardSubject } from "../../core/ports/guard.js";
import type { DeviceEntry } from "../roles/api.js";
import { revokedSentence } from "./device.js";

/** Refuses whoever comes from a device that was revoked or removed, whatever their roles ask for. */
export class DeviceGuard implements Guard {
  constructor(private readonly devices: Collection<DeviceEntry>) {}

  refusal({ user, device }: GuardSubject): GuardRefusal | null {
    if (device === undefined) return null;
    const entry = this.devices.get(device);
    if (entry === undefined)
      return { message: "your device was removed from this cluster; log in again", detail: `device ${device} is not enrolled` };
    if (user !== undefined && entry.user !== user)
      return { message: "the device is somebody else's; log in again", detail: `device ${device} is of ${entry.user}` };
    return entry.isRevoked ? { message: revokedSentence(entry.name), detail: `device ${device} is revoked` } : null;
  }

  onChange(listener: () => void): () => void {
    return this.devices.onChange(listener);
  }
}
