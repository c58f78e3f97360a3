import type { Http2Session } from "node:http2";

/**
 * Pings a tunnel (RFC 9113, 6.7) and calls `onDead` when a ping stays without answer for a whole interval.
 * Ends by itself with the session.
 */
export function watchHeartbeat(session: Http2Session, intervalSeconds: number, onDead: () => void): void {
  let isWaiting = false;
  const timer = setInterval(() => {
    if (session.destroyed) return;
    if (isWaiting) return onDead();
    isWaiting = session.ping(() => {
      isWaiting = false;
    });
  }, intervalSeconds * 1000);
  session.once("close", () => clearInterval(timer));
}
