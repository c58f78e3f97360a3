export interface RequestTarget {
  /** As it came, without the query. */
  readonly path: string;
  /** Decoded, none empty, none `.` or `..`; an empty list is the root. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
}

/** Longest request target that is read. */
export const MAX_TARGET_BYTES = 4096;

/**
 * Reads the target of a request line. Only the plain form is one: no scheme, no authority, no empty, dot or backslash parts,
 * and nothing that decodes to one, so that two readers cannot see two paths.
 * @returns `null` for anything else.
 * @see RFC 9112, 3.2.1
 */
export function parseTarget(target: string): RequestTarget | null {
  if (target.length > MAX_TARGET_BYTES || !TARGET.test(target)) return null;
  const end = target.includes("?") ? target.indexOf("?") : target.length;
  const path = target.slice(0, end);
  const segments = path === "/" ? [] : path.slice(1).split("/").map(decodeSegment);
  if (segments.some((segment) => segment === null)) return null;
  return { path, segments: segments as string[], query: new URLSearchParams(target.slice(end + 1)) };
}

// --- internal ---

const TARGET = /^\/[!$&'()*+,\-./0-9:;=@A-Z_a-z~%]*(?:\?[!$&'()*+,\-./0-9:;=@A-Z_a-z~%?[\]]*)?$/; // RFC 3986, 3.3 and 3.4

function decodeSegment(text: string): string | null {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    return null;
  }
  if (decoded === "" || decoded === "." || decoded === ".." || /[/\\%\u0000-\u001f\u007f]/.test(decoded)) return null;
  return decoded;
}
