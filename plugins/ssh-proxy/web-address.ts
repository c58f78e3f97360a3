import type { ListenAddress } from "./listen-address.js";

export interface WebAddresses {
  /** `proxy.web_public_addr`, `null` when it is empty. */
  readonly own: string | null;
  /** `proxy.public_addr`. */
  readonly publicAddress: string | null;
  readonly publicListen: ListenAddress | null;
  readonly webListen: ListenAddress | null;
}

/**
 * `host` or `host:port` by which people reach the web pages.
 * @returns `null` when nothing is served to browsers: there is neither a port for them nor one for everything.
 */
export function webPublicAddress({ own, publicAddress, publicListen, webListen }: WebAddresses): string | null {
  if (publicListen === null && webListen === null) return null;
  if (own !== null) return own;
  const host = hostOf(publicAddress) ?? listenHost(webListen) ?? listenHost(publicListen) ?? "localhost";
  if (publicListen === null) return `${host}:${webListen?.port}`;
  return publicAddress ?? `${host}:${publicListen.port}`;
}

// --- internal ---

/** People's browsers know it as `localhost`, and second factors are bound to a name. */
function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}

function hostOf(address: string | null): string | null {
  return address === null ? null : address.replace(/:\d+$/, "");
}

function listenHost(listen: ListenAddress | null): string | null {
  const host = listen?.host ?? null;
  if (host === null || host === "0.0.0.0" || host === "::" || isLoopback(host)) return null;
  return host.includes(":") ? `[${host}]` : host;
}
