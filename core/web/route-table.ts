import type { WebHandler, WebRoute } from "../plugin/web.js";

/** A route with whoever answers it. */
export interface ServedRoute {
  readonly route: WebRoute;
  readonly handler: WebHandler;
  /** Keeps the plugin alive while a request is under way. */
  readonly lease: () => () => void;
}

export interface RouteMatch {
  readonly served: ServedRoute;
  readonly parameters: ReadonlyMap<string, string>;
}

/** How a manifest writes a route: `GET /v1/webapi/mfa/:link`. */
export function routeName({ method, path }: WebRoute): string {
  return `${method} ${path}`;
}

/** The same for two routes that one request could mean: parameters' names are no difference. */
export function routeShape(route: WebRoute): string {
  return routeName(route).replace(/:[^/]+/g, ":");
}

/** Every route of one generation. Built once, replaced whole. */
export class WebRouteTable {
  readonly #byLength = new Map<number, Candidate[]>();

  constructor(routes: readonly ServedRoute[]) {
    const candidates = routes.map((served) => ({ served, parts: partsOf(served.route.path) }));
    for (const candidate of candidates.sort(literalsFirst)) {
      const { length } = candidate.parts;
      this.#byLength.set(length, [...(this.#byLength.get(length) ?? []), candidate]);
    }
  }

  /**
   * @param segments Decoded parts of the path.
   * @returns The route; or the methods that the path has when it has others, sorted; none when there is no such path.
   */
  find(method: string, segments: readonly string[]): RouteMatch | readonly string[] {
    const others = new Set<string>();
    for (const { served, parts } of this.#byLength.get(segments.length) ?? []) {
      if (!parts.every((part, index) => part.startsWith(":") || part === segments[index])) continue;
      if (served.route.method === (method === "HEAD" ? "GET" : method)) return { served, parameters: named(parts, segments) };
      others.add(served.route.method);
    }
    return [...others].sort();
  }
}

// --- internal ---

interface Candidate {
  readonly served: ServedRoute;
  readonly parts: readonly string[];
}

function partsOf(path: string): readonly string[] {
  return path === "/" ? [] : path.slice(1).split("/");
}

function literalsFirst({ parts: a }: Candidate, { parts: b }: Candidate): number {
  for (const [index, part] of a.entries()) {
    const difference = Number(part.startsWith(":")) - Number(b[index]?.startsWith(":") ?? false);
    if (difference !== 0) return difference;
  }
  return 0;
}

function named(parts: readonly string[], segments: readonly string[]): ReadonlyMap<string, string> {
  const found = parts.map((part, index) => [part.slice(1), segments[index] as string] as const);
  return new Map(found.filter((_, index) => parts[index]?.startsWith(":")));
}
