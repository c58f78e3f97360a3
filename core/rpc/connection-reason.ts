/**
 * Why a server cannot be reached, in words: `connection refused` for
 * `No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:3025. Resolution note: `.
 */
export function connectionReason(text: string): string {
  const line = text.split("\n")[0] ?? "";
  const found = Object.entries(REASONS).find(([code]) => line.includes(code));
  return found?.[1] ?? line.replace(/^.*Last error: (?:Error: )?|\.? *Resolution note: *$/g, "").slice(0, 300);
}

// --- internal ---

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ETIMEDOUT: "no answer",
  ENOTFOUND: "there is no host of that name",
  EAI_AGAIN: "its name cannot be looked up now",
  ERR_SSL_WRONG_VERSION_NUMBER: "what listens there does not speak TLS",
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: "what listens there is not the auth service",
};
