import type { Socket } from "node:net";
import { join } from "node:path";
import { isMezError, MezError } from "../../../core/errors/error.js";
import {
  type DirectAnswer,
  decodeDirectAnswer,
  directBytesToSign,
  directExporter,
  encodeDirectRequest,
} from "../../../core/tunnel/direct-route.js";
import type { TlsPrelude } from "../../../core/tunnel/tls-prelude.js";
import type { CertifiedKey, DirectLogin } from "./direct-login.js";
import { type Handshake, NO_ANSWER, shakeHands, unreachable } from "./handshake.js";

/** A node, as in `ssh login@node`. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/**
 * Has a proxy open the way to a node.
 * @returns The connection; `null` when SSH is the way to go.
 * @throws {MezError} `ACCESS_DENIED` in the words of the proxy, `SERVER_NOT_TRUSTED`, `UNAVAILABLE`
 */
export async function reachNode(login: DirectLogin, target: Target): Promise<Socket | null> {
  if (login.key === null) return null;
  const { tcp, prelude, address } = await handshakeWithOne(login);
  const limit = setTimeout(() => tcp.destroy(NO_ANSWER), ANSWER_MS);
  try {
    const answer = prelude === null ? JUMP : await ask(prelude, login, login.key, target);
    await follow(login, answer);
    if (answer.verdict === "go" && prelude !== null) return prelude.leave();
    tcp.destroy();
    if (answer.verdict === "jump") return null;
    throw new MezError("ACCESS_DENIED", answer.message === "" ? "the proxy refuses the session" : answer.message);
  } catch (error) {
    tcp.destroy();
    throw isMezError(error) ? error : unreachable(address, error);
  } finally {
    clearTimeout(limit);
  }
}

// --- internal ---

const JUMP: DirectAnswer = { verdict: "jump", trust: "current", message: "" };

/** How long a proxy may be silent. */
const SILENCE_MS = 20_000;
/** A proxy waits for the node, and an agent for the person. */
const ANSWER_MS = 60_000;

async function handshakeWithOne(login: DirectLogin): Promise<Handshake> {
  const { proxies } = login.profile;
  const shake = (address: string, signal: AbortSignal) => shakeHands(address, login, SILENCE_MS, signal);
  const [only = ""] = proxies;
  if (proxies.length === 1) return shake(only, NEVER);
  const [{ AnsweredAddress }, { firstHandshake }] = await Promise.all([
    import("../../answered-address.js"),
    import("./first-handshake.js"),
  ]);
  const answered = new AnsweredAddress(join(login.folder, "../.."), proxies);
  const handshake = await firstHandshake(proxies, answered.last(), shake);
  answered.note(handshake.address);
  return handshake;
}

const NEVER = new AbortController().signal;

async function ask(prelude: TlsPrelude, login: DirectLogin, key: CertifiedKey, target: Target): Promise<DirectAnswer> {
  const question = { user: login.profile.user, ...target, certificate: key.certificate, trust: login.trust };
  const signature = await key.sign(directBytesToSign(directExporter(prelude.tls), question));
  if (signature === null) throw new MezError("ACCESS_DENIED", "the agent did not sign with the key of the login");
  await prelude.say(encodeDirectRequest({ ...question, signature }));
  return decodeDirectAnswer(await prelude.hear());
}

/** Most of the time there is nothing to follow, and nothing to load for it. */
async function follow(login: DirectLogin, answer: DirectAnswer): Promise<void> {
  if (answer.trust === "current") return;
  const { followTrust } = await import("./follow-trust.js");
  await followTrust(login, answer);
}
