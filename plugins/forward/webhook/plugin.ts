import { MezError } from "../../../core/errors/error.js";
import { definePlugin } from "../../../core/plugin/contract.js";
import { CLOCK, PROCESS } from "../../../core/plugin/process.js";
import type { Secret } from "../../../core/plugin/secret.js";
import { parseWebhook } from "../../../core/plugin/signed-post.js";
import { AUDIT_FORWARDER } from "../../../core/ports/audit-forwarder.js";
import { WebhookForwarder } from "./webhook-forwarder.js";

interface WebhookConfig {
  readonly url: string;
  readonly secret?: Secret;
}

export default definePlugin<WebhookConfig>({
  register(host, { url, secret }) {
    if (url === "" || secret === undefined)
      throw new MezError("CONFIG_INVALID", `${KEY}.${url === "" ? "url" : "secret"} is missing`);
    const target = parseWebhook(KEY, { url, secret });
    host.implement(
      AUDIT_FORWARDER,
      "webhook",
      (resolve) => new WebhookForwarder(target, resolve(CLOCK), resolve(PROCESS).clusterName),
    );
  },
});

// --- internal ---

const KEY = "plugins.forward.webhook.config";
