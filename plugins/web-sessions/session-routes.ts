import type { Secret } from "../../core/plugin/secret.js";
import { SESSION_COOKIE, type WebHandlers, type WebSession } from "../../core/plugin/web.js";
import { jsonResponse, NO_CONTENT } from "../../core/plugin/web-response.js";

/** What a person asks about their own session. */
export const SESSION_ROUTES = {
  show: { method: "GET", path: "/v1/webapi/session", access: "session" },
  end: { method: "DELETE", path: "/v1/webapi/session", access: "session" },
} as const;

export interface EndableSessions {
  end(token: Secret, signal: AbortSignal): Promise<void>;
}

/** Answers the requests that show a login session and end it. */
export function sessionHandlers(sessions: EndableSessions): WebHandlers<typeof SESSION_ROUTES> {
  return {
    show: async ({ session }) => {
      const { userName, roles, sessionId, expiresAt, csrfToken } = session as WebSession;
      return jsonResponse({
        ...{ user_name: userName, roles, session_id: sessionId, csrf_token: csrfToken },
        expires_at: expiresAt?.toISOString() ?? null,
      });
    },
    end: async ({ session, signal }) => {
      await sessions.end((session as WebSession).token, signal);
      return { ...NO_CONTENT, cookies: [{ name: SESSION_COOKIE, value: "", maxAgeSeconds: 0 }] };
    },
  };
}
