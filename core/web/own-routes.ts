import { html } from "../plugin/html.js";
import type { WebResponse, WebRoute } from "../plugin/web.js";
import { STYLE_SHEET_PATH, webPage } from "../plugin/web-page.js";
import { jsonResponse, pageResponse } from "../plugin/web-response.js";
import type { ServedRoute } from "./route-table.js";
import { STYLE_SHEET } from "./style-sheet.js";

/** Whoever asks for these need not know a name of ours, as probes do not, and is answered also before all plugins run. */
export const HEALTH_PATHS: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

export interface ServerFacts {
  readonly clusterName: string;
  readonly version: string;
  /** False until every plugin has started, and when the process is stopping. */
  readonly isReady: () => boolean;
}

/** What the server answers by itself. */
export function ownRoutes({ clusterName, version, isReady }: ServerFacts): readonly ServedRoute[] {
  const title = `Cluster ${clusterName}`;
  const content = html`<p>This is a proxy of the Mezite cluster <strong>${clusterName}</strong>. Log in from a terminal:</p>
    <pre><code>msh login</code></pre>`;
  return [
    served("/healthz", () => jsonResponse({ status: "ok" })),
    served("/readyz", () =>
      isReady() ? jsonResponse({ status: "ok" }) : jsonResponse({ status: "not ready" }, { status: 503 }),
    ),
    served("/v1/webapi/ping", () => jsonResponse({ cluster_name: clusterName, version })),
    served(STYLE_SHEET_PATH, () => STYLE_SHEET_RESPONSE),
    served("/", () => pageResponse(webPage({ title, content }))),
  ];
}

/** Routes that no plugin may take. */
export const OWN_ROUTES: readonly WebRoute[] = ownRoutes({ clusterName: "", version: "", isReady: () => false }).map(
  ({ route }) => route,
);

// --- internal ---

const STYLE_SHEET_RESPONSE: WebResponse = {
  status: 200,
  contentType: "text/css; charset=utf-8",
  body: STYLE_SHEET,
  cacheSeconds: 3600,
};

function served(path: string, respond: () => WebResponse): ServedRoute {
  return { route: { method: "GET", path, access: "public" }, handler: async () => respond(), lease: () => () => {} };
}
