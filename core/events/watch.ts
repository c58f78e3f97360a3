import { type WatchMessage, WatchServiceService } from "../../proto/gen/mezite/core/v1/watch.js";
import type { Caller, PermissionHolder } from "../plugin/caller.js";
import type { CallContext, RpcHandlers, RpcService } from "../plugin/rpc.js";
import type { CollectionChange, LiveCollection } from "./collections.js";
import type { LocalCollections } from "./local-collections.js";
import { WatchAudience } from "./watch-audience.js";

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
  const audience = new WatchAudience<WatchMessage>();
  collections.registry.onApply((change) => {
    const kind = collections.kind(change.kind);
    if (kind !== undefined) audience.tell(change.kind, kind, change.key, () => messageOf(change));
  });
  return { watch: (_request, call) => watch(collections, call, audience) };
}

// --- internal ---

async function* watch(
  collections: LocalCollections,
  call: CallContext,
  audience: WatchAudience<WatchMessage>,
): AsyncIterable<WatchMessage> {
  const waiting: WatchMessage[] = [];
  let wake: () => void = () => {};
  let isOver = false;
  const end = (): void => {
    isOver = true;
    wake();
  };
  const push = (message: WatchMessage): void => {
    if (waiting.length >= MAX_WAITING_MESSAGES) return end();
    waiting.push(message);
    wake();
  };
  // Listening and copying happen in one turn of the loop: no commit can fall between them.
  const leave = audience.add({ caller: call.caller, push });
  // A collection that goes with its plugin: the watcher comes back for everything, and lets go of its copy.
  const unfollow = collections.onWithdrawn(end);
  // Watchers take a heartbeat for the word that they have missed nothing.
  const heartbeat = setInterval(() => {
    if (!collections.isBlind) push({ message: { $case: "heartbeat", heartbeat: {} } });
  }, HEARTBEAT_MS);
  call.signal.addEventListener("abort", () => wake());
  try {
    const snapshot = snapshotFor(collections, call.caller);
    for (const message of snapshot) yield message;
    yield { message: { $case: "snapshotComplete", snapshotComplete: {} } };
    while (!call.signal.aborted && !isOver) {
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
    leave();
    unfollow();
  }
}

function snapshotFor(collections: LocalCollections, caller: Caller): readonly WatchMessage[] {
  const messages: WatchMessage[] = [];
  for (const [id, kind] of collections.published()) {
    const collection = collections.registry.byId(id);
    const keys = kind.keysOf?.(caller) ?? "all";
    for (const [key, value] of keys === "all" ? collection.entries() : entriesAt(collection, keys))
      if (kind.visibleTo(caller, key)) messages.push(messageOf({ kind: id, key, value }));
  }
  return messages;
}

function entriesAt(collection: LiveCollection, keys: readonly string[]): readonly (readonly [key: string, value: unknown])[] {
  return keys.map((key) => [key, collection.get(key)] as const).filter(([, value]) => value !== undefined);
}

function messageOf({ kind, key, value }: CollectionChange): WatchMessage {
  if (value === undefined) return { message: { $case: "remove", remove: { kind, key } } };
  return { message: { $case: "put", put: { kind, key, value: JSON.stringify(value) } } };
}
