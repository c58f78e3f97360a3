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
  const messages = new ChangeMessages();
  return { watch: (_request, call) => watch(collections, call, messages) };
}

// --- internal ---

async function* watch(collections: LocalCollections, call: CallContext, messages: ChangeMessages): AsyncIterable<WatchMessage> {
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
  const unlisten = collections.registry.onApply((change) => {
    if (collections.kind(change.kind)?.visibleTo(call.caller, change.key) === true) push(messages.of(change));
  });
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
    unlisten();
    unfollow();
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

/** What is sent of a change, made once for all who watch. */
class ChangeMessages {
  readonly #made = new WeakMap<CollectionChange, WatchMessage>();

  of(change: CollectionChange): WatchMessage {
    const known = this.#made.get(change);
    if (known !== undefined) return known;
    const { kind, key, value } = change;
    const message: WatchMessage["message"] =
      value === undefined
        ? { $case: "remove", remove: { kind, key } }
        : { $case: "put", put: { kind, key, value: JSON.stringify(value) } };
    this.#made.set(change, { message });
    return { message };
  }
}
