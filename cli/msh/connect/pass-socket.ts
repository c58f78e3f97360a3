import type { Socket } from "node:net";
import { MezError } from "../../../core/errors/error.js";

/**
 * Gives a socket to the ssh that runs this program as its `ProxyCommand` with `ProxyUseFdpass yes`. It waits until the program
 * ends, and then speaks on the socket itself. Nothing may have been read that is meant for it.
 *
 * The descriptor goes over standard output, which Node takes for the channel to a parent (`NODE_CHANNEL_FD=1`).
 * @throws {MezError} `INVALID_ARGUMENT` when standard output is none
 * @see ssh_config(5), ProxyUseFdpass
 */
export function passSocket(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    if (process.send === undefined) return reject(notBySsh());
    // Of the message ssh reads the first byte, and the descriptor with it. To close ours, Node would load all that it has for HTTP.
    process.send("", socket, { keepOpen: true }, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** What is wrong when a person runs the program, or an ssh that wants no descriptor. */
export function notBySsh(): MezError {
  return new MezError("INVALID_ARGUMENT", "this is for ssh to run as ProxyCommand, with ProxyUseFdpass=yes");
}
