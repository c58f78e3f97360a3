import { type PostTarget, postSigned } from "../../../core/plugin/signed-post.js";
import type { AuditForwarder, ForwardedEvent } from "../../../core/ports/audit-forwarder.js";
import type { Clock } from "../../../core/time/clock.js";

/** Posts events to a web server, many in one message: `{"cluster_name": …, "events": […]}`. */
export class WebhookForwarder implements AuditForwarder {
  constructor(
    private readonly target: PostTarget,
    private readonly clock: Clock,
    private readonly clusterName: string,
  ) {}

  /** @throws {MezError} `UNAVAILABLE` unless the server answers with a status of 200 to 299 */
  async deliver(events: readonly ForwardedEvent[], signal: AbortSignal): Promise<void> {
    const [first, last] = [events[0], events.at(-1)];
    if (first === undefined || last === undefined) return;
    const body = `{"cluster_name":${JSON.stringify(this.clusterName)},"events":[${events.map(({ json }) => json).join(",")}]}`;
    await postSigned(this.target, { id: `audit-${first.seq}-${last.seq}`, body }, this.clock.now(), signal);
  }
}
