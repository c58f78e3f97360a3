import type { Duplex } from "node:stream";

/**
 * Reads exactly so many bytes of a handshake; what comes after them stays in the stream.
 * @throws when the stream ends or fails before
 */
export function readExactly(stream: Duplex, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = () => void stream.off("readable", attempt).off("error", fail).off("end", fail).off("close", fail);
    const fail = (error?: Error | boolean) => {
      settle();
      reject(error instanceof Error ? error : new Error("the connection was closed during the handshake"));
    };
    const attempt = () => {
      const bytes: Buffer | null = stream.read(length);
      if (bytes === null) return;
      settle();
      if (bytes.length === length) resolve(bytes);
      else reject(new Error("the connection was closed during the handshake"));
    };
    stream.on("readable", attempt).on("error", fail).on("end", fail).on("close", fail);
    attempt();
  });
}
