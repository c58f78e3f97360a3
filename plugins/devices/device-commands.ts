import type { CommandContext } from "../../core/plugin/commands.js";
import { Secret } from "../../core/plugin/secret.js";
import { DeviceServiceService } from "../../proto/gen/mezite/devices/v1/devices.js";
import { DEVICE_COLUMNS } from "./device-table.js";
import { type EnrolInput, enrolHere } from "./enrol-command.js";

interface AddInput {
  readonly user: string | undefined;
  readonly name: string | undefined;
  readonly key: EnrolInput["key"];
  /** Seconds. */
  readonly ttl: number | undefined;
}

/** `mezctl devices add`: this machine for the administrator, or a token for somebody else. */
export async function addDevice(context: CommandContext, { user, name, key, ttl }: AddInput): Promise<void> {
  const client = await context.rpc(DeviceServiceService);
  const created = await client.createEnrolmentToken({ userName: user ?? "", ttlSeconds: ttl ?? 0 });
  if (user === undefined) return enrolHere(context, { token: new Secret(created.token), name, key });
  await context.output.record(created, [
    { key: "userName", header: "User", value: (row) => row.userName },
    { key: "token", header: "Token", value: (row) => row.token },
    { key: "expiresAt", header: "Expires", value: (row) => row.expiresAt },
  ]);
  context.output.note(`it works once: at the device, ${user} logs in and runs msh device enroll --token-stdin`);
}

/** `mezctl devices ls` */
export async function listDevices(context: CommandContext): Promise<void> {
  const { devices } = await (await context.rpc(DeviceServiceService)).listDevices({});
  await context.output.rows(devices, DEVICE_COLUMNS);
}

/** `mezctl devices revoke` */
export async function revokeDevice(context: CommandContext, id: string): Promise<void> {
  const { device } = await (await context.rpc(DeviceServiceService)).revokeDevice({ id });
  context.output.note(`revoked device ${device?.name} of ${device?.userName}; its sessions end`);
}

/** `mezctl devices rm` */
export async function removeDevice(context: CommandContext, id: string): Promise<void> {
  const { device } = await (await context.rpc(DeviceServiceService)).deleteDevice({ id });
  context.output.note(`removed device ${device?.name} of ${device?.userName}; its sessions end`);
}
