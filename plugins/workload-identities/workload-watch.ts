import { X509Certificate } from "node:crypto";
import { type ChangingGuards, onGuardChange } from "../../core/ports/guard.js";
import type {
  SpiffeBundle as BundleMessage,
  WorkloadEntry as EntryMessage,
  WatchWorkloadsMessage,
} from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import type { IdentityFollowers } from "./identity-followers.js";
import { type PresentedInstance, requireStanding, type StandingParts } from "./instance-standing.js";
import type { WorkloadDirectory } from "./workload-directory.js";
import type { WorkloadEntry } from "./workload-entry.js";
import { selectorsToMessage } from "./workload-message.js";

export interface WorkloadWatchParts extends StandingParts {
  readonly guards: ChangingGuards;
  readonly directory: WorkloadDirectory;
  readonly followers: IdentityFollowers;
  /** Default 5 s. */
  readonly heartbeatMs?: number;
}

/**
 * A snapshot of what the identity may serve, then a new one whenever it says something else, and heartbeats in between.
 * @throws {MezError} `ACCESS_DENIED` when the identity is locked, `UNAUTHENTICATED` when it is deleted: at once, also later
 */
export async function* watchWorkloads(
  parts: WorkloadWatchParts,
  caller: PresentedInstance,
  signal: AbortSignal,
): AsyncIterable<WatchWorkloadsMessage> {
  const { directory, instances, guards, followers, heartbeatMs = HEARTBEAT_MS } = parts;
  let wake: () => void = () => {};
  let hasChanged = true;
  let isHeartbeatDue = false;
  const changed = (): void => {
    hasChanged = true;
    wake();
  };
  const heartbeat = setInterval(() => {
    isHeartbeatDue = true;
    wake();
  }, heartbeatMs);
  const stops = [
    directory.onChange(caller.name, changed),
    instances.onChange((id) => id === caller.instance && changed()),
    onGuardChange(guards, changed),
    followers.connected(caller),
    () => clearInterval(heartbeat),
  ];
  signal.addEventListener("abort", () => wake());
  let sent = "";
  try {
    while (!signal.aborted) {
      if (hasChanged) {
        hasChanged = false;
        requireStanding(parts, caller);
        const snapshot = snapshotFor(parts, caller.name);
        const text = JSON.stringify(snapshot);
        if (text !== sent) yield { message: { $case: "snapshot", snapshot } };
        sent = text;
      } else if (isHeartbeatDue) {
        isHeartbeatDue = false;
        yield { message: { $case: "heartbeat", heartbeat: {} } };
      } else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    for (const stop of stops) stop();
  }
}

// --- internal ---

const HEARTBEAT_MS = 5_000;

function snapshotFor({ directory }: WorkloadWatchParts, identityName: string) {
  const { certificatesPem, spiffe } = directory.bundle();
  const bundle: BundleMessage = {
    sequence: spiffe.sequence,
    x509Authorities: certificatesPem.map((pem) => new X509Certificate(pem).raw),
    jwtAuthorities: spiffe.jwtAuthorities.map(({ keyId, publicKey }) => ({
      keyId,
      publicKey: Buffer.from(publicKey, "base64"),
    })),
    refreshHintSeconds: spiffe.refreshHintSeconds,
    bundleJson: spiffe.bundleJson,
    jwksJson: spiffe.jwksJson,
  };
  return { trustDomain: spiffe.trustDomain, entries: directory.entriesFor(identityName).map(toMessage), bundle };
}

function toMessage({ name, revision, spiffeId, unix, x509TtlSeconds, jwtTtlSeconds, hint }: WorkloadEntry): EntryMessage {
  return { name, revision, spiffeId, unix: selectorsToMessage(unix), x509TtlSeconds, jwtTtlSeconds, hint };
}
