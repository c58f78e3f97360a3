import { createHmac } from "node:crypto";
import { isIP } from "node:net";
import { MezError } from "../errors/error.js";
import type { Secret } from "./secret.js";

/** One message for another server. */
export interface SignedPost {
  /** Names the message, the same at each attempt, so that the receiver can drop what comes twice. */
  readonly id: string;
  /** JSON. */
  readonly body: string;
}

export interface PostTarget {
  /** From `parseWebhookUrl`. */
  readonly url: URL;
  readonly secret: Secret;
}

const TIMEOUT_MS = 10_000;
const MIN_SECRET_CHARACTERS = 16;

/**
 * Sends a message with a signature over its time and its body: `Mezite-Signature: t=<seconds>,v1=<hex>`, HMAC-SHA256 of
 * `<seconds>.<body>`. Follows no redirect, and reads nothing of the answer but its status.
 * @throws {MezError} `UNAVAILABLE` unless the answer is a status of 200 to 299 within 10 seconds
 */
export async function postSigned(
  { url, secret }: PostTarget,
  { id, body }: SignedPost,
  now: Date,
  signal: AbortSignal,
): Promise<void> {
  const seconds = Math.floor(now.getTime() / 1000);
  const signature = createHmac("sha256", secret.expose()).update(`${seconds}.${body}`).digest("hex");
  let status: number;
  try {
    const response = await fetch(url, {
      method: "POST",
      redirect: "manual",
      headers: {
        "content-type": "application/json",
        "mezite-delivery": id,
        "mezite-signature": `t=${seconds},v1=${signature}`,
        "user-agent": "mezite",
      },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    status = response.status;
    await response.body?.cancel();
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new MezError("UNAVAILABLE", `${url.host} cannot be reached: ${reason}`, { cause });
  }
  if (status < 200 || status > 299) throw new MezError("UNAVAILABLE", `${url.host} answered ${status}`);
}

/**
 * Reads where to post to, as an operator writes it: `https:`, or `http:` on this machine.
 * @param key Names the place in the configuration, for messages.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function parseWebhook(key: string, config: { readonly url: string; readonly secret: Secret }): PostTarget {
  const url = URL.parse(config.url);
  const isLocal =
    url !== null &&
    (url.hostname === "localhost" || (isIP(url.hostname) === 4 && url.hostname.startsWith("127.")) || url.hostname === "[::1]");
  if (
    url === null ||
    !(url.protocol === "https:" || (url.protocol === "http:" && isLocal)) ||
    url.username !== "" ||
    url.password !== ""
  )
    throw new MezError(
      "CONFIG_INVALID",
      `${key}.url: "${config.url.slice(0, 200)}" is not an https: address without a user name in it`,
    );
  if (config.secret.expose().length < MIN_SECRET_CHARACTERS)
    throw new MezError(
      "CONFIG_INVALID",
      `${key}.secret: give at least ${MIN_SECRET_CHARACTERS} characters, so that nobody guesses it`,
    );
  return { url, secret: config.secret };
}
