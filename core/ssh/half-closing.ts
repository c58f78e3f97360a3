import { lendFrom } from "./channel-flow.js";
import type { SshChannel } from "./server-session.js";
import type { Channel } from "./ssh2-internals.js";

/**
 * A channel that carries somebody else's connection. ssh2's server closes a channel as soon as our side has ended; such
 * a one stays until both have.
 */
export function halfClosing(channel: SshChannel): SshChannel {
  (channel as SshChannel & { server: boolean }).server = false;
  lendFrom(channel as Channel & SshChannel);
  let endsLeft = 2;
  const onEnd = () => {
    if (--endsLeft === 0) channel.close();
  };
  return channel
    .once("end", onEnd)
    .once("finish", onEnd)
    .on("error", () => undefined);
}
