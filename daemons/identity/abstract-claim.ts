import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Claims something for this process alone, under an abstract unix socket, which the kernel frees however the process ends.
 * @param subject What is claimed, e.g. the device and inode of a folder.
 * @returns Gives it back; `null` when another process has it. @throws the error of the system
 * @see unix(7), "abstract"
 */
export async function claim(subject: string): Promise<(() => Promise<void>) | null> {
  const name = createHash("sha256").update(subject).digest("hex").slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen(`\0mezite-identity-${name}`);
    await once(server, "listening");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return null;
    throw error;
  }
  server.unref();
  return async () => {
    const closed = once(server, "close");
    server.close();
    await closed;
  };
}
