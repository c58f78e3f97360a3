/** Whether two policies say the same: the order of keys does not count, nor whether one value stands alone or in a list. */
export function isSamePolicy(left: unknown, right: unknown): boolean {
  return JSON.stringify(canonical(left)) === JSON.stringify(canonical(right));
}

/** Whether every statement of a trust policy is for this identity provider, and for nobody besides. */
export function trustsOnly(policy: unknown, providerArn: string): boolean {
  const statements = listOf((policy as { readonly Statement?: unknown } | null)?.Statement);
  return (
    statements.length > 0 &&
    statements.every((statement) => {
      const principal = (statement as { readonly Principal?: unknown } | null)?.Principal;
      if (typeof principal !== "object" || principal === null) return false;
      const entries = Object.entries(principal);
      return entries.length === 1 && entries[0]?.[0] === "Federated" && isOnly(listOf(entries[0][1]), providerArn);
    })
  );
}

// --- internal ---

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(canonical).sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
    return items.length === 1 ? items[0] : items;
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, item]) => [key, canonical(item)]);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

function isOnly(values: readonly unknown[], value: string): boolean {
  return values.length === 1 && values[0] === value;
}
