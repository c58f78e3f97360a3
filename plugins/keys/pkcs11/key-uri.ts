/** Where a key is. */
export interface KeyPlace {
  /** Label of its token. */
  readonly token: string;
  /** CKA_ID, 16 bytes, hexadecimal. */
  readonly id: string;
}

/** The handle of a key, e.g. `pkcs11:token=ca;id=%01%23…;type=private`. @see RFC 7512 */
export function formatKeyUri({ token, id }: KeyPlace): string {
  return `pkcs11:token=${encodeURIComponent(token)};id=${id.replace(/../g, "%$&")};type=private`;
}

/** Reads a handle; `null` for anything that `formatKeyUri` did not write. */
export function parseKeyUri(handle: string): KeyPlace | null {
  const [, token = "", id = ""] = /^pkcs11:token=([^;]+);id=((?:%[0-9a-f]{2}){16});type=private$/.exec(handle) ?? [];
  if (token === "") return null;
  try {
    return { token: decodeURIComponent(token), id: id.replaceAll("%", "") };
  } catch {
    return null;
  }
}
