import type { X509Certificate } from "node:crypto";

/**
 * The fields of a certificate's subject by their short names, `CN` and `O` among them; those alone that stand there once.
 * Values are written as in RFC 2253, with what is special there escaped, so no value can be taken for another field.
 */
export function subjectFields({ subject }: Pick<X509Certificate, "subject">): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  const repeated = new Set<string>();
  for (const line of (subject ?? "").split("\n")) {
    const end = line.indexOf("=");
    const name = line.slice(0, end);
    if (end <= 0) continue;
    if (fields.has(name)) repeated.add(name);
    fields.set(name, line.slice(end + 1));
  }
  for (const name of repeated) fields.delete(name);
  return fields;
}
