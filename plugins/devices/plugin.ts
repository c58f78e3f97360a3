import { readFileSync } from "node:fs";
import { MezError } from "../../core/errors/error.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { Sweeper } from "../../core/plugin/sweeper.js";
import { GUARD } from "../../core/ports/guard.js";
import { LOGIN_STEP } from "../../core/ports/login-step.js";
import { USER_DATA } from "../../core/ports/user-data.js";
import { CERTIFICATE_AUTHORITIES } from "../ca/api.js";
import { DEVICES_COLLECTION, USERS_COLLECTION } from "../roles/api.js";
import { ChallengeRecord } from "./challenge-repository.js";
import { Challenges } from "./challenges.js";
import type { Assurance } from "./device.js";
import { DeviceGuard } from "./device-guard.js";
import { DeviceLogin } from "./device-login.js";
import { DeviceRecord } from "./device-repository.js";
import { DEVICE_RPC, deviceHandlers } from "./device-rpc.js";
import { DeviceService } from "./device-service.js";
import { authorityHash } from "./device-statement.js";
import { EnrolmentService } from "./enrolment-service.js";
import { EnrolmentTokenRecord } from "./enrolment-token-repository.js";
import { CreateDevices } from "./migrations/001-devices.js";
import { TpmTrust } from "./tpm-evidence.js";

interface Config {
  readonly self_enrolment: boolean;
  readonly assurance: "any" | "tpm";
  readonly tpm_ca_file: string;
  readonly max_devices_per_user: number;
}

export default definePlugin<Config>({
  register(host, config) {
    if (config.assurance === "tpm" && config.tpm_ca_file === "")
      throw new MezError(
        "CONFIG_INVALID",
        "plugins.devices.config.assurance is tpm, so tpm_ca_file has to say whose TPMs are believed",
      );
    host.implement(GUARD, "devices", (resolve) => new DeviceGuard(resolve(COLLECTIONS).of(DEVICES_COLLECTION)));
    if (!host.roles.has("auth")) return;

    const counts = (assurance: Assurance): boolean => config.assurance === "any" || assurance === "tpm";
    const service = once((resolve) => new DeviceService(resolve(DATABASE), resolve(CLOCK)));
    const hostAuthorities = once((resolve) => {
      const authorities = resolve(CERTIFICATE_AUTHORITIES);
      return () => authorities.trustBundle("host").certificatesPem.map(authorityHash);
    });
    const challenges = once((resolve) => new Challenges(resolve(CLOCK)));
    host.store([DeviceRecord, EnrolmentTokenRecord, ChallengeRecord], [{ name: "001-devices", class: CreateDevices }]);
    host.publish(DEVICES_COLLECTION, service);
    host.implement(
      LOGIN_STEP,
      "devices",
      (resolve) =>
        new DeviceLogin({
          database: resolve(DATABASE),
          challenges: challenges(resolve),
          clock: resolve(CLOCK),
          clusterName: resolve(PROCESS).clusterName,
          hostAuthorities: hostAuthorities(resolve),
          counts,
        }),
    );
    host.implement(USER_DATA, "devices", service);
    host.run(
      (resolve) =>
        new Sweeper({
          what: "enrolments and logins of devices that took too long",
          everyMs: 60_000,
          sweep: () => service(resolve).sweep(),
          logger: resolve(LOGGER),
          duties: resolve(DUTIES),
        }),
    );
    host.rpc(DEVICE_RPC, (resolve) => {
      const clock = resolve(CLOCK);
      const { clusterName } = resolve(PROCESS);
      const enrolment = new EnrolmentService({
        database: resolve(DATABASE),
        clock,
        users: resolve(COLLECTIONS).of(USERS_COLLECTION),
        challenges: challenges(resolve),
        clusterName,
        hostAuthorities: hostAuthorities(resolve),
        selfEnrolment: config.self_enrolment,
        maxDevicesPerUser: config.max_devices_per_user,
        tpmTrust: new TpmTrust(readMakers(config.tpm_ca_file), clock),
        counts,
      });
      return deviceHandlers({ devices: service(resolve), enrolment, clusterName });
    });
  },
});

// --- internal ---

function readMakers(file: string): string {
  if (file === "") return "";
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new MezError("CONFIG_INVALID", `plugins.devices.config.tpm_ca_file: ${file} cannot be read`, { cause });
  }
}
