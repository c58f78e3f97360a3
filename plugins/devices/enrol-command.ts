import { hostname } from "node:os";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { RpcClient } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import { type Device, type DeviceChallenge, DeviceServiceService } from "../../proto/gen/mezite/devices/v1/devices.js";
import { deviceFilePath, type StoredDeviceKey, writeDeviceFile } from "./device-file.js";
import { makeFileKey, serverUnknown, signWith } from "./device-key.js";
import { statementOf } from "./device-statement.js";
import { DEVICE_COLUMNS } from "./device-table.js";
import { hasTpm, type TpmKeyBlobs, TpmTools } from "./tpm-tools.js";

export interface EnrolInput {
  readonly token: Secret | undefined;
  readonly name: string | undefined;
  readonly key: "auto" | "tpm" | "file";
}

/**
 * Enrols the machine that it runs on, for whoever is logged in.
 * @throws {MezError} `ENROLMENT_REFUSED`, `ALREADY_EXISTS`, `DEVICE_KEY_UNUSABLE`
 */
export async function enrolHere(context: CommandContext, { token, name, key }: EnrolInput): Promise<void> {
  const connection = await context.connection();
  const client = connection.client(DeviceServiceService);
  const server: Server = { client, authority: () => connection.serverAuthority() };
  const wanted = { token: token?.expose() ?? "", name: name ?? hostname().slice(0, 64) };
  const enrolled =
    (key === "file" ? null : await enrolTpm(context, server, wanted, key)) ?? (await enrolFile(context, server, wanted));
  await context.output.record(enrolled, DEVICE_COLUMNS);
  context.output.note("enrolled; log in again here to come from this device");
}

// --- internal ---

interface Server {
  readonly client: RpcClient<typeof DeviceServiceService>;
  /** Asked after the first call. */
  readonly authority: () => Buffer | null;
}

interface Wanted {
  readonly token: string;
  readonly name: string;
}

/** @returns `null` where there is no usable TPM and a file will do. */
async function enrolTpm(context: CommandContext, server: Server, wanted: Wanted, key: "auto" | "tpm"): Promise<Device | null> {
  if (key === "auto" && !hasTpm(context.env)) return null;
  return TpmTools.with(context.env, async (tpm) => {
    const made = await makeTpmKey(tpm).catch((error: unknown) => {
      if (key === "tpm" || !isMezError(error, "DEVICE_KEY_UNUSABLE")) throw error;
      context.output.note(`${error.message}; the key goes into a file instead`);
      return null;
    });
    if (made === null) return null;
    const { blobs, endorsement } = made;
    const challenge = await server.client.beginEnrolment({
      token: wanted.token,
      publicKey: Buffer.alloc(0),
      tpm: {
        keyPublic: unsized(blobs.public),
        endorsementPublic: unsized(endorsement.public),
        endorsementCertificate: endorsement.certificate,
      },
    });
    const activated = await tpm.activate(blobs, challenge.credential, challenge.credentialSecret);
    const stored = { kind: "tpm", public: blobs.public.toString("base64"), private: blobs.private.toString("base64") } as const;
    return finish(context, server, challenge, { name: wanted.name, key: stored, activated });
  });
}

async function makeTpmKey(
  tpm: TpmTools,
): Promise<{ blobs: TpmKeyBlobs; endorsement: Awaited<ReturnType<TpmTools["endorsement"]>> }> {
  const blobs = await tpm.createKey();
  return { blobs, endorsement: await tpm.endorsement() };
}

async function enrolFile(context: CommandContext, server: Server, { token, name }: Wanted): Promise<Device> {
  const { key, publicKey } = makeFileKey();
  const challenge = await server.client.beginEnrolment({ token, publicKey, tpm: undefined });
  const device = await finish(context, server, challenge, { name, key, activated: Buffer.alloc(0) });
  context.output.note("the key is in a file of this machine: weaker than a TPM, because whoever copies the file has the device");
  return device;
}

async function finish(
  context: CommandContext,
  { client, authority: authorityOf }: Server,
  { purpose, clusterName, userName, challenge }: DeviceChallenge,
  { name, key, activated }: { readonly name: string; readonly key: StoredDeviceKey; readonly activated: Buffer },
): Promise<Device> {
  if (purpose !== "enrolment") throw new MezError("INVALID_DOCUMENT", "the server asks for something else than an enrolment");
  const authority = authorityOf();
  if (authority === null) throw serverUnknown();
  const path = deviceFilePath(context.homeDirectory, clusterName, userName);
  const signature = await signWith(key, statementOf({ purpose, clusterName, userName, authority, challenge }), context.env);
  const device = await client.finishEnrolment({ challenge, signature, name, activated });
  writeDeviceFile(path, { id: device.id, clusterName, userName, key });
  return device;
}

/** Without the length in front: TPM2B_PUBLIC to TPMT_PUBLIC. */
function unsized(bytes: Buffer): Buffer {
  return bytes.subarray(2);
}
