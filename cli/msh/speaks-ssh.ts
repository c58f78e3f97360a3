import { connect } from "node:net";
import { parseHostPort } from "../../core/rpc/address.js";

/**
 * Whether an SSH server answers at `host:port` with its version. One that is silent for three seconds does not, nor does one
 * that speaks something else.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function speaksSsh(address: string, signal?: AbortSignal): Promise<boolean> {
  const { host, port } = parseHostPort(address);
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const silence = setTimeout(() => end(false), TIMEOUT_MS);
    const end = (answer: boolean): void => {
      clearTimeout(silence);
      signal?.removeEventListener("abort", stop);
      socket.destroy();
      resolve(answer);
    };
    const stop = (): void => end(false);
    signal?.addEventListener("abort", stop);
    let received = "";
    // A proxy that serves everything on one port tells by the first bytes who speaks.
    socket.once("connect", () => void socket.write("SSH-2.0-mezite\r\n"));
    socket.on("data", (bytes: Buffer) => {
      received += bytes.toString("latin1");
      // RFC 4253, 4.2: other lines may come before the version.
      if (/^SSH-2\.0-/m.test(received)) end(true);
      else if (received.length > MAX_BYTES) end(false);
    });
    socket.once("error", stop).once("close", stop);
  });
}

// --- internal ---

const TIMEOUT_MS = 3_000;
const MAX_BYTES = 8_192;
