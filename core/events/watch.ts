import { type WatchMessage, WatchServiceService } from "../../proto/gen/mezite/core/v1/watch.js";
import type { Caller, PermissionHolder } from "../plugin/caller.js";
import type { CallContext, RpcHandlers, RpcService } from "../plugin/rpc.js";
import type { CollectionChange } from "./collections.js";
import type { LocalCollections } from "./local-collections.js";

const HEARTBEAT_MS = 5_000;
const MAX_WAITING_MESSAGES = 100_000;

/** The service behind `RemoteCollections`; the core's own. */
export const WATCH_RPC: RpcService<typeof WatchServiceService> = {
  name: "mezite.core.v1.WatchService",
  definition: WatchServiceService,
  permissions: { watch: "cluster:use" },
};

export const WATCH_HOLDERS: readonly PermissionHolder[] = ["proxy", "node", "agent_identity"];

/** Serves each watcher everything that it may see, then every change, in commit order and without a gap. */
export function watchHandlers(collections: LocalCollections): RpcHandlers<typeof WatchServiceService> {
  return { watch: (_request, call) => watch(collections, call) };
}

// --- internal ---

async function* watch(collections: LocalCollections, call: CallContext): AsyncIterable<WatchMessage> {
  const waiting: WatchMessage[] = [];
  let wake: () => void = () => {};
  let overflow = false;
  const push = (message: WatchMessage): void => {
    if (waiting.length >= MAX_WAITING_MESSAGES) overflow = true;
    else waiting.push(message);
    wake();
  };
  // Listening and copying happen in one turn of the loop: no commit can fall between them.
  const unlisten = collections.registry.onApply((change) => {
    const message = messageFor(change, collections, call.caller);
    if (message !== null) push(message);
  });
  const heartbeat = setInterval(() => push({ message: { $case: "heartbeat", heartbeat: {} } }), HEARTBEAT_MS);
  call.signal.addEventListener("abort", () => wake());
  try {
    const snapshot = snapshotFor(collections, call.caller);
    for (const message of snapshot) yield message;
    yield { message: { $case: "snapshotComplete", snapshotComplete: {} } };
    while (!call.signal.aborted && !overflow) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    clearInterval(heartbeat);
    unlisten();
  }
}

function snapshotFor(collections: LocalCollections, caller: Caller): readonly WatchMessage[] {
  const messages: WatchMessage[] = [];
  for (const [id, kind] of collections.published()) {
    for (const [key, value] of collections.registry.byId(id).entries()) {
      if (kind.visibleTo(caller, key))
        messages.push({ message: { $case: "put", put: { kind: id, key, value: JSON.stringify(value) } } });
    }
  }
  return messages;
}

function messageFor(change: CollectionChange, collections: LocalCollections, caller: Caller): WatchMessage | null {
  const kind = collections.kind(change.kind);
  if (kind === undefined || !kind.visibleTo(caller, change.key)) return null;
  if (change.value === undefined) return { message: { $case: "remove", remove: { kind: change.kind, key: change.key } } };
  return { message: { $case: "put", put: { kind: change.kind, key: change.key, value: JSON.stringify(change.value) } } };
}
