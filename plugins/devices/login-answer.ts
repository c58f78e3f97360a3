import { isMezError, MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { LoginAnswer } from "../../core/plugin/login-answer.js";
import { DeviceAnswer, DeviceChallenge } from "../../proto/gen/mezite/devices/v1/devices.js";
import { deviceFilePath, readDeviceFile } from "./device-file.js";
import { serverUnknown, signWith } from "./device-key.js";
import { type DeviceStatement, keysChallenge, parsePurpose, statementOf } from "./device-statement.js";

/**
 * The client side of the login step `devices`: a signature, or nothing at a machine that is not enrolled. Of certificates it signs
 * for those of its own keys alone. Each signature names the Host CA that this side has checked, so that a server which passes on
 * what another cluster's asks gets nothing that is good there.
 */
const answerAsDevice: LoginAnswer = async (context, { message, userName, publicKeys, serverAuthority }) => {
  const { purpose: word, challenge, sessionId, ...asked } = DeviceChallenge.decode(message);
  const purpose = parsePurpose(word);
  const isExpected =
    publicKeys.length === 0
      ? purpose === "login"
      : purpose === "certificate" && keysChallenge(sessionId, publicKeys).equals(challenge);
  if (purpose === null || !isExpected || asked.userName !== userName)
    throw new MezError("INVALID_DOCUMENT", "the server asks this device for something that it does not sign");
  const said = { purpose, clusterName: asked.clusterName, userName, challenge };
  const signed = await sign(context, said, serverAuthority).catch((error: unknown) => {
    if (purpose === "certificate" || !isMezError(error, "DEVICE_KEY_UNUSABLE")) throw error;
    context.output.note(`${error.message}; this login does not come from the enrolled device`);
    return null;
  });
  if (signed === null && purpose === "certificate")
    throw new MezError("DEVICE_KEY_UNUSABLE", "this login was made at an enrolled device whose key is not here; log in again");
  return Buffer.from(DeviceAnswer.encode(DeviceAnswer.fromPartial({ ...signed, challenge })).finish());
};

export default answerAsDevice;

// --- internal ---

async function sign(
  context: CommandContext,
  said: Omit<DeviceStatement, "authority">,
  authority: Buffer | null,
): Promise<{ readonly deviceId: string; readonly signature: Buffer } | null> {
  const { clusterName, userName } = said;
  const file = readDeviceFile(deviceFilePath(context.homeDirectory, clusterName, userName));
  if (file?.clusterName !== clusterName || file.userName !== userName) return null;
  if (authority === null) throw serverUnknown();
  return { deviceId: file.id, signature: await signWith(file.key, statementOf({ ...said, authority }), context.env) };
}
