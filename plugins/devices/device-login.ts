import { isMezError, MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { CertificateOrder, LoginAttempt, LoginStep, LoginStepOutcome } from "../../core/ports/login-step.js";
import type { Clock } from "../../core/time/clock.js";
import { DeviceAnswer, DeviceChallenge } from "../../proto/gen/mezite/devices/v1/devices.js";
import type { Challenges } from "./challenges.js";
import { type Assurance, type Device, parseDeviceKey, revokedSentence } from "./device.js";
import { findDevice, findDevicesOf, markUsed } from "./device-repository.js";
import { type DevicePurpose, isSignedBy, keysChallenge } from "./device-statement.js";

export interface DeviceLoginParts {
  /** For refusals, whose transactions are rolled back. */
  readonly database: Database;
  readonly challenges: Challenges;
  readonly clock: Clock;
  readonly clusterName: string;
  /** Of the Host CA now: during a rotation several. */
  readonly hostAuthorities: () => readonly Buffer[];
  /** Whether a device of this kind counts. */
  readonly counts: (assurance: Assurance) => boolean;
}

/** The login step `devices`: whoever is at an enrolled device shows it; who is not goes on without. */
export class DeviceLogin implements LoginStep {
  constructor(private readonly parts: DeviceLoginParts) {}

  async check(tx: Transaction, attempt: LoginAttempt): Promise<LoginStepOutcome> {
    const { challenges } = this.parts;
    const { userName, clientAddress, answer } = attempt;
    const asked = { purpose: "login", userName, clientAddress } as const;
    if (answer === null) {
      if ((await findDevicesOf(tx.em, userName)).length === 0) return { passed: {} };
      return this.#demand({ purpose: "login", userName, challenge: await challenges.open(tx, asked) });
    }
    const { deviceId, challenge, signature } = decode(answer);
    if (deviceId === "") return { passed: {} };
    const open = await challenges.require(tx, challenge, asked);
    const device = await findDevice(tx.em, deviceId);
    // One that was removed is a machine like any other: its person may log in there, and enrol it again.
    if (device?.userName !== userName) return { passed: { device_unknown: true }, use: () => challenges.take(tx, open) };
    this.#requireGood(device, { purpose: "login", userName, challenge, signature });
    if (!this.parts.counts(device.assurance))
      return { passed: { device_too_weak: device.id }, use: () => challenges.take(tx, open) };
    return {
      passed: { device: device.id, device_assurance: device.assurance },
      device: device.id,
      use: async () => {
        await challenges.take(tx, open);
        await markUsed(tx.em, device.id, this.parts.clock.now());
      },
    };
  }

  async checkOrder(tx: Transaction, order: CertificateOrder): Promise<LoginStepOutcome> {
    const { userName, sessionId, publicKeys, answer } = order;
    if (order.device === null) return { passed: {} };
    const challenge = keysChallenge(sessionId, publicKeys);
    if (answer === null) return this.#demand({ purpose: "certificate", userName, challenge, sessionId });
    const { deviceId, signature } = decode(answer);
    const device = await findDevice(tx.em, order.device);
    if (device === null || deviceId !== device.id)
      throw new MezError("DEVICE_REFUSED", "this login was made at another device; log in again here");
    this.#requireGood(device, { purpose: "certificate", userName, challenge, signature });
    return { passed: { device: device.id }, device: device.id };
  }

  async refused(attempt: LoginAttempt | CertificateOrder, error: MezError): Promise<void> {
    if (!isMezError(error, "DEVICE_REFUSED")) return;
    const { userName, userRoles, clientAddress: clientIp, sessionId } = attempt;
    const device = error.fields.device;
    const record: AuditRecord = {
      ...{ type: "device.auth.failed", userName, userRoles, clientIp, sessionId },
      ...(typeof device === "string" ? { resourceType: "device", resourceName: device } : {}),
      success: false,
      errorMessage: error.message,
      metadata: { purpose: "publicKeys" in attempt ? "certificate" : "login" },
    };
    await this.parts.database.transaction(async (tx) => tx.audit(record));
  }

  #demand(asked: { purpose: DevicePurpose; userName: string; challenge: Buffer; sessionId?: string }): LoginStepOutcome {
    const demand = DeviceChallenge.fromPartial({ ...asked, clusterName: this.parts.clusterName });
    return { demand: Buffer.from(DeviceChallenge.encode(demand).finish()) };
  }

  #requireGood(
    device: Device,
    { signature, ...said }: { purpose: DevicePurpose; userName: string; challenge: Buffer; signature: Buffer },
  ): void {
    const fields = { device: device.id };
    if (device.revokedAt !== null) throw new MezError("DEVICE_REFUSED", revokedSentence(device.name), { fields });
    const key = parseDeviceKey(Buffer.from(device.publicKey, "base64"));
    const { clusterName, hostAuthorities } = this.parts;
    if (!isSignedBy(key, { ...said, clusterName, authorities: hostAuthorities() }, signature))
      throw new MezError(
        "DEVICE_REFUSED",
        `what device ${device.name} signed is of another key than the one that was enrolled, or was meant for another server`,
        { fields },
      );
  }
}

// --- internal ---

function decode(answer: Buffer): DeviceAnswer {
  try {
    return DeviceAnswer.decode(answer);
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the answer of the device is damaged", { cause });
  }
}
