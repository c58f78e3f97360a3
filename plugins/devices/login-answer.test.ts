import assert from "node:assert/strict";
import { verify } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { DeviceAnswer, DeviceChallenge } from "../../proto/gen/mezite/devices/v1/devices.js";
import { DeviceWorld, HOST_CA, TestDevice } from "../../test/fixtures/device-world.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { parseDeviceKey } from "./device.js";
import { deviceFilePath, writeDeviceFile } from "./device-file.js";
import { makeFileKey } from "./device-key.js";
import { keysChallenge, statementOf } from "./device-statement.js";
import answerAsDevice from "./login-answer.js";

const home = mkdtempSync(join(tmpdir(), "mezite-login-answer-"));
after(() => rmSync(home, { recursive: true, force: true }));
const NAMES = { clusterName: "prod", userName: "alice" };
const KEYS = [Buffer.from("ssh key"), Buffer.from("tls key")];
const { key, publicKey } = makeFileKey();
writeDeviceFile(deviceFilePath(home, NAMES.clusterName, NAMES.userName), { ...NAMES, id: "d-1", key });

test("signs the question of a login, and for the keys of its own certificate", async () => {
  const challenges = { login: Buffer.alloc(32, 7), certificate: keysChallenge("s-1", KEYS) };
  for (const [purpose, publicKeys] of [
    ["login", []],
    ["certificate", KEYS],
  ] as const) {
    const challenge = challenges[purpose];
    const { deviceId, signature } = DeviceAnswer.decode(await answer({ purpose, challenge, sessionId: "s-1" }, publicKeys));
    assert.equal(deviceId, "d-1");
    const how = { key: parseDeviceKey(publicKey), dsaEncoding: "der" } as const;
    assert.ok(verify("sha256", statementOf({ ...NAMES, purpose, challenge, authority: HOST_CA }), how, signature));
  }
});

for (const [what, asked, publicKeys] of [
  ["keys that are not its own", { purpose: "certificate", challenge: keysChallenge("s-1", [KEYS[0]!, Buffer.from("x")]) }, KEYS],
  ["another login session than is said", { purpose: "certificate", challenge: keysChallenge("s-2", KEYS) }, KEYS],
  ["a certificate, at a login", { purpose: "certificate", challenge: keysChallenge("s-1", []) }, []],
  ["a login, for a certificate", { purpose: "login", challenge: Buffer.alloc(32, 7) }, KEYS],
  ["an enrolment", { purpose: "enrolment", challenge: Buffer.alloc(32, 7) }, []],
  ["nothing that it knows", { purpose: "payment", challenge: Buffer.alloc(32, 7) }, []],
  ["the login of somebody else", { purpose: "login", challenge: Buffer.alloc(32, 7), userName: "bob" }, []],
] as const)
  test(`signs nothing when it is asked for ${what}`, () =>
    assert.rejects(answer({ sessionId: "s-1", ...asked }, publicKeys), (error) => isMezError(error, "INVALID_DOCUMENT")));

test("signs nothing for a server of which nobody knows whose it is: a login goes on without the device, a certificate does not", async () => {
  const notes: string[] = [];
  const login = DeviceAnswer.decode(await answer({ purpose: "login", challenge: Buffer.alloc(32, 7) }, [], null, notes));
  assert.deepEqual([login.deviceId, login.signature.length], ["", 0]);
  assert.match(notes.join(), /signs only for a server .*; this login does not come from the enrolled device/);
  const certificate = { purpose: "certificate", challenge: keysChallenge("s-1", KEYS), sessionId: "s-1" };
  await assert.rejects(answer(certificate, KEYS, null), (error) => isMezError(error, "DEVICE_KEY_UNUSABLE"));
});

test("a server in between that passes on the question of the real one gets an answer that is worth nothing there", () =>
  DeviceWorld.run(async (world) => {
    const device = new TestDevice("alice", key);
    await world.enrolWith(await world.token("alice"), device);
    writeDeviceFile(deviceFilePath(home, "test", "alice"), { clusterName: "test", userName: "alice", id: device.id, key });
    const relayed = async (authority: Buffer) => DeviceAnswer.decode(await answer(await world.demanded(), [], authority));
    await refuses(world.logIn(await relayed(Buffer.alloc(32, 66))), "DEVICE_REFUSED");
    const direct = await world.logIn(await relayed(HOST_CA));
    assert.equal("passed" in direct && direct.device, device.id);
  }));

// --- internal ---

function answer(
  asked: Partial<DeviceChallenge>,
  publicKeys: readonly Buffer[],
  serverAuthority: Buffer | null = HOST_CA,
  notes: string[] = [],
): Promise<Buffer> {
  const message = Buffer.from(DeviceChallenge.encode(DeviceChallenge.fromPartial({ ...NAMES, ...asked })).finish());
  const client = (): never => assert.fail("nothing is asked of the server");
  const context = {
    homeDirectory: home,
    env: {},
    output: { note: (text: string) => notes.push(text) },
  } as unknown as CommandContext;
  return answerAsDevice(context, { message, userName: NAMES.userName, publicKeys, otp: undefined, serverAuthority, client });
}
