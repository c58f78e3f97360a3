import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Each byte passes through several buffers; 64 MiB of them are the point at which V8 looks through the whole heap. */
const INTERVAL_BYTES = 4 * 1024 * 1024;

let bytesSince = 0;
let collectYoung: (() => void) | null = null;

/**
 * Counts bytes that pass through connections in buffers made for them, and frees those buffers now and then.
 *
 * V8 does not see the size of buffers when it decides about its cheap collections, and answers every 64 MiB of them with
 * a full one: at hundreds of MiB per second that was half of all CPU time. Nearly all of these buffers die young, so a
 * young collection of a millisecond, asked for in time, frees them before.
 */
export function countBytes(length: number): void {
  bytesSince += length;
  if (bytesSince < INTERVAL_BYTES) return;
  bytesSince = 0;
  collectYoung ??= exposeCollection();
  collectYoung();
}

// --- internal ---

function exposeCollection(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { readonly type: "minor" }) => void;
  setFlagsFromString("--no-expose-gc");
  return () => collect({ type: "minor" });
}
