import { type WatchMessage, type WatchRequest, WatchServiceService } from "../../proto/gen/mezite/core/v1/watch.js";
import type { Caller, PermissionHolder } from "../plugin/caller.js";
import type { CallContext, RpcHandlers, RpcService } from "../plugin/rpc.js";
import type { LiveCollection } from "./collections.js";
import type { LocalCollections } from "./local-collections.js";
import { WakeQueue } from "./wake-queue.js";
import { WatchAudience } from "./watch-audience.js";
import { batched, EntryMessages, messageOf, SharedMessage, serializeWatchMessage } from "./watch-message.js";

const HEARTBEAT_MS = 5_000;
const MAX_WAITING_MESSAGES = 100_000;

/** The service behind `RemoteCollections`; the core's own. */
export const WATCH_RPC: RpcService<typeof WatchServiceService> = {
  name: "mezite.core.v1.WatchService",
  definition: { watch: { ...WatchServiceService.watch, responseSerialize: serializeWatchMessage } },
  permissions: { watch: "cluster:use" },
};

export const WATCH_HOLDERS: readonly PermissionHolder[] = ["proxy", "node", "agent_identity"];

/** Serves each watcher everything that it may see, then every change, in commit order and without a gap. */
export function watchHandlers(collections: LocalCollections): RpcHandlers<typeof WatchServiceService> {
  const audience = new WatchAudience<SharedMessage>();
  const entries = new EntryMessages();
  const wakes = new WakeQueue();
  collections.registry.onApply((change) => {
    entries.forget(change);
    const kind = collections.kind(change.kind);
    if (kind !== undefined) audience.tell(change.kind, kind, change.key, () => messageOf(change));
  });
  collections.onWithdrawn(() => entries.clear());
  return { watch: (request, call) => watch(collections, request, call, { audience, entries, wakes }) };
}

// --- internal ---

const SNAPSHOT_COMPLETE = new SharedMessage({ $case: "snapshotComplete", snapshotComplete: {} });
const HEARTBEAT = new SharedMessage({ $case: "heartbeat", heartbeat: {} });

/** What all watchers have in common. */
interface Shared {
  readonly audience: WatchAudience<SharedMessage>;
  readonly entries: EntryMessages;
  readonly wakes: WakeQueue;
}

async function* watch(
  collections: LocalCollections,
  { batches }: WatchRequest,
  call: CallContext,
  { audience, entries, wakes }: Shared,
): AsyncIterable<WatchMessage> {
  let waiting: SharedMessage[] = [];
  let wake: () => void = () => {};
  let isOver = false;
  const wakeUp = (): void => wake();
  const end = (): void => {
    isOver = true;
    wake();
  };
  const push = (message: SharedMessage): void => {
    if (waiting.length >= MAX_WAITING_MESSAGES) return end();
    waiting.push(message);
    wakes.add(wakeUp);
  };
  // Listening and copying happen in one turn of the loop: no commit can fall between them.
  const leave = audience.add({ caller: call.caller, push });
  // A collection that goes with its plugin: the watcher comes back for everything, and lets go of its copy.
  const unfollow = collections.onWithdrawn(end);
  // Watchers take a heartbeat for the word that they have missed nothing.
  const heartbeat = setInterval(() => {
    if (!collections.isBlind) push(HEARTBEAT);
  }, HEARTBEAT_MS);
  call.signal.addEventListener("abort", () => wake());
  try {
    const told = (messages: readonly SharedMessage[]): Iterable<WatchMessage> => (batches ? batched(messages) : messages);
    yield* told([...snapshotFor(collections, call.caller, entries), SNAPSHOT_COMPLETE]);
    while (!call.signal.aborted && !isOver) {
      const news = waiting;
      waiting = [];
      if (news.length > 0) yield* told(news);
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    clearInterval(heartbeat);
    wakes.delete(wakeUp);
    leave();
    unfollow();
  }
}

function snapshotFor(collections: LocalCollections, caller: Caller, known: EntryMessages): readonly SharedMessage[] {
  const messages: SharedMessage[] = [];
  for (const [id, kind] of collections.published()) {
    const collection = collections.registry.byId(id);
    const keys = kind.keysOf?.(caller) ?? "all";
    for (const [key, value] of keys === "all" ? collection.entries() : entriesAt(collection, keys)) {
      if (!kind.visibleTo(caller, key)) continue;
      const change = { kind: id, key, value };
      // What hardly anybody else is shown is not kept.
      messages.push(kind.keysOf === undefined ? known.of(change) : messageOf(change));
    }
  }
  return messages;
}

function entriesAt(collection: LiveCollection, keys: readonly string[]): readonly (readonly [key: string, value: unknown])[] {
  return keys.map((key) => [key, collection.get(key)] as const).filter(([, value]) => value !== undefined);
}
