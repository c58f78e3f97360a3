import { randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { WebRequest, WebResponse } from "../plugin/web.js";
import type { WebAuthenticator } from "../ports/web-authenticator.js";
import { plainAddress } from "../rpc/address.js";
import type { AnonymousCallLimiter } from "../rpc/interceptors/limit.js";
import { type HostNames, parseHost, type RequestedHost } from "./host-names.js";
import { HEALTH_PATHS } from "./own-routes.js";
import { Problem, problemResponse } from "./problem.js";
import { receivedRequest } from "./received-request.js";
import { readBody } from "./request-body.js";
import { parseTarget, type RequestTarget } from "./request-target.js";
import { responseHeaders } from "./response-head.js";
import { type RouteMatch, routeName, type WebRouteTable } from "./route-table.js";
import { isCrossSite } from "./same-origin.js";
import { requireFormToken, sessionOf } from "./web-session.js";

export interface ExchangeParts {
  readonly routes: () => WebRouteTable;
  readonly hostNames: () => HostNames;
  readonly authenticators: () => readonly WebAuthenticator[];
  readonly isReady: () => boolean;
  readonly limiter: AnonymousCallLimiter;
  readonly handlerSeconds: number;
  readonly logger: Logger;
}

/** More headers than any client sends. */
export const MAX_HEADERS = 100;

/** One request and its answer. What does not pass a check is answered by that check; a handler sees what passed all. */
export class WebExchange {
  readonly #id = randomUUID();
  readonly #nonce = randomBytes(16).toString("base64url");
  readonly #began = performance.now();
  readonly #gone = new AbortController();
  readonly #clientAddress: string;
  #match: RouteMatch | null = null;

  constructor(
    private readonly parts: ExchangeParts,
    private readonly incoming: IncomingMessage,
    private readonly outgoing: ServerResponse,
  ) {
    this.#clientAddress = plainAddress(incoming.socket.remoteAddress ?? "");
    outgoing.once("close", () => this.#gone.abort());
  }

  /** Answers; never rejects. */
  async run(): Promise<void> {
    let release: (() => void) | null = null;
    try {
      const answer = await this.#answer((lease) => {
        release = lease;
      });
      this.#send(answer instanceof Problem ? this.#refusal(answer) : answer, answer instanceof Problem ? answer : null);
    } catch (error) {
      const problem = this.#problemOf(error);
      this.#send(this.#refusal(problem), problem);
    } finally {
      (release as (() => void) | null)?.();
    }
  }

  async #answer(hold: (lease: () => void) => void): Promise<WebResponse | Problem> {
    const head = this.#checkHead();
    if (head instanceof Problem) return head;
    const { target, host } = head;
    const method = this.incoming.method ?? "";
    const found = this.parts.routes().find(method, target.segments);
    if (!("served" in found)) return this.#unrouted(method, found);
    this.#match = found;
    const { route, handler, lease } = found.served;
    hold(lease());
    if (route.method !== "GET" && isCrossSite(this.incoming.headers, host.origin))
      return new Problem(403, "ACCESS_DENIED", "a page of another site made this request");
    const session =
      route.access === "public" ? null : await sessionOf(this.incoming, this.parts.authenticators(), this.#gone.signal);
    const body = await readBody(this.incoming, this.outgoing, route);
    if (body instanceof Problem) return body;
    if (session?.fromCookie === true && route.method !== "GET") requireFormToken(this.incoming, route, body, session);
    const request = receivedRequest(this.incoming, body, {
      ...{ id: this.#id, target, match: found, session, clientAddress: this.#clientAddress },
      ...{ origin: host.origin, nonce: this.#nonce, signal: this.#gone.signal },
    });
    return this.#handle(handler, request);
  }

  /** What has to be right of any request before somebody is asked about it. */
  #checkHead(): { readonly target: RequestTarget; readonly host: RequestedHost } | Problem {
    this.parts.limiter.admit(this.#clientAddress);
    const { rawHeaders, headers, socket, url = "" } = this.incoming;
    if (rawHeaders.length / 2 >= MAX_HEADERS) return Problem.of(431, `a request has fewer than ${MAX_HEADERS} headers`);
    const target = parseTarget(url);
    if (target === null) return Problem.of(400, "the path is not valid");
    const named = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length;
    const host = named === 1 ? parseHost(headers.host ?? "") : null;
    if (host === null) return Problem.of(400, "a request has one host");
    if (HEALTH_PATHS.has(target.path)) return { target, host };
    if (!this.parts.hostNames().includes(host.name, socket.localAddress ?? ""))
      return Problem.of(421, `this server is not "${host.name.slice(0, 80)}"`);
    if (!this.parts.isReady()) return new Problem(503, "UNAVAILABLE", "the server is not ready", { retryAfterSeconds: 2 });
    return { target, host };
  }

  #unrouted(method: string, methods: readonly string[]): WebResponse | Problem {
    if (methods.length === 0) return Problem.of(404, "there is nothing under this path");
    const allow = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"];
    if (method !== "OPTIONS") return Problem.of(405, `this path takes ${methods.join(", ")}`, { allow });
    this.outgoing.setHeader("allow", allow.join(", "));
    return { status: 204 };
  }

  async #handle(handler: (request: WebRequest) => Promise<WebResponse>, request: WebRequest): Promise<WebResponse> {
    const done = new AbortController();
    const late = delay(this.parts.handlerSeconds * 1000, undefined, { signal: done.signal, ref: false }).then(() => {
      this.#gone.abort();
      throw new MezError("TIMEOUT", "the server did not answer in time");
    });
    late.catch(() => {});
    try {
      return await Promise.race([handler(request), late]);
    } finally {
      done.abort();
    }
  }

  #problemOf(error: unknown): Problem {
    const { logger } = this.parts;
    const about = { request: this.#id, route: this.#routeName };
    if (isMezError(error)) {
      if (error.kind === "internal" || error.detail !== undefined)
        logger.info("web request refused", { ...about, code: error.code, reason: error.message, detail: error.detail });
      if (error.kind !== "internal") return Problem.from(error);
    } else if (!this.#gone.signal.aborted)
      logger.error("web request failed", {
        ...about,
        error: messageOf(error),
        stack: error instanceof Error ? error.stack : undefined,
      });
    return new Problem(500, "INTERNAL", "the server failed to answer; its log has the reason");
  }

  #refusal(problem: Problem): WebResponse {
    const asPage = /\btext\/html\b/.test(this.incoming.headers.accept ?? "");
    if (problem.more.allow !== undefined) this.outgoing.setHeader("allow", problem.more.allow.join(", "));
    // Nobody has read the body: what follows on the connection could be taken for a request.
    if (!this.incoming.complete) this.outgoing.setHeader("connection", "close");
    return problemResponse(problem, this.#id, asPage);
  }

  #send(response: WebResponse, problem: Problem | null): void {
    const { outgoing, incoming } = this;
    if (outgoing.destroyed) return this.#log(499, problem);
    let status = response.status;
    let body = response.body ?? "";
    const headers = responseHeaders(response, this.#id, this.#nonce);
    if (status === 200 && headers.etag !== undefined && incoming.headers["if-none-match"] === headers.etag) {
      status = 304;
      body = "";
    }
    const length = status === 204 || status === 304 ? {} : { "content-length": Buffer.byteLength(body) };
    outgoing.writeHead(status, { ...headers, ...length });
    outgoing.end(incoming.method === "HEAD" ? undefined : body);
    this.#log(status, problem);
  }

  /** Never the path: it may hold a one-time link. */
  #log(status: number, problem: Problem | null): void {
    const isProbe = HEALTH_PATHS.has(this.#match?.served.route.path ?? "");
    // Whoever asks without end must not fill the disk.
    const isFlood = problem?.code === "LIMIT_EXCEEDED" && this.#match === null;
    this.parts.logger[isProbe || isFlood ? "debug" : "info"]("web request", {
      request: this.#id,
      address: this.#clientAddress,
      method: this.incoming.method,
      route: this.#routeName,
      status,
      ...(problem === null ? {} : { code: problem.code }),
      ms: Math.round(performance.now() - this.#began),
    });
  }

  get #routeName(): string | undefined {
    return this.#match === null ? undefined : routeName(this.#match.served.route);
  }
}
