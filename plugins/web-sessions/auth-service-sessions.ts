import { MezError } from "../../core/errors/error.js";
import type { RpcDialer } from "../../core/plugin/dialer.js";
import type { RpcClient } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { WebPerson } from "../../core/plugin/web.js";
import type { WebAuthenticator } from "../../core/ports/web-authenticator.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";

export interface AuthServiceSessionsParts {
  readonly dialer: RpcDialer;
  readonly addresses: readonly string[];
  /** X.509 certificates of the Host CA that are trusted now. */
  readonly authorities: () => readonly string[];
}

/** Login sessions, asked of the auth service in the name of whoever holds the token: the proxy has no say of its own. */
export class AuthServiceSessions implements WebAuthenticator {
  constructor(private readonly parts: AuthServiceSessionsParts) {}

  authenticate(token: Secret, signal: AbortSignal): Promise<WebPerson> {
    return this.#call(token, async (client) => {
      const { userName, roles, sessionId, expiresAt } = await client.getSession({}, { signal });
      return { userName, roles, sessionId, expiresAt: expiresAt ?? null };
    });
  }

  /** Ends the session. */
  async end(token: Secret, signal: AbortSignal): Promise<void> {
    await this.#call(token, (client) => client.logout({}, { signal }));
  }

  async #call<T>(token: Secret, work: (client: RpcClient<typeof AuthenticationServiceService>) => Promise<T>): Promise<T> {
    if (!TOKEN.test(token.expose())) throw new MezError("UNAUTHENTICATED", "the session is unknown or has ended; log in again");
    const { dialer, addresses, authorities } = this.parts;
    const connection = dialer.dial({ addresses, token, trust: { kind: "authorities", certificatesPem: authorities() } });
    try {
      return await work(connection.client(AuthenticationServiceService));
    } finally {
      connection.close();
    }
  }
}

// --- internal ---

/** Of a cookie comes whatever somebody sent; what is no token of ours is not sent on. RFC 6750, 2.1 */
const TOKEN = /^[A-Za-z0-9_.~+/=-]{1,512}$/;
