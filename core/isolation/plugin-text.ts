/**
 * Text that an isolated plugin sent, as it may stand in a log, an answer and on a terminal: of one line, cut, and without
 * characters that a terminal obeys or that hide or reorder what stands beside them.
 */
export function plainText(sent: unknown, maxCharacters: number): string {
  return String(sent).slice(0, maxCharacters).replace(UNSAFE, " ");
}

/** What was thrown and what that came of, in one line: `the store cannot be opened: EACCES: permission denied`. */
export function reasonOf(thrown: unknown): string {
  const messages: string[] = [];
  for (let at = thrown; at !== undefined && at !== null && messages.length < MAX_CAUSES; ) {
    const message = at instanceof Error ? at.message + deniedBy(at) : String(at);
    if (message !== "" && !messages.some((each) => each.includes(message))) messages.push(message);
    at = at instanceof Error ? at.cause : undefined;
  }
  return messages.join(": ");
}

// --- internal ---

const MAX_CAUSES = 5;

/** What Node's permission model would have to allow. */
function deniedBy({ code, permission, resource }: Error & { code?: unknown; permission?: unknown; resource?: unknown }): string {
  return code === "ERR_ACCESS_DENIED" ? ` (${String(permission)}: ${String(resource)})` : "";
}

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/gu;
