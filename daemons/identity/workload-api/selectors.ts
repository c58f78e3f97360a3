/** What an entry asks of a program. Each list that is not empty must hold the program's value; four empty ones match nothing. */
export interface UnixSelectors {
  readonly uids: readonly number[];
  /** Primary or supplementary group. */
  readonly gids: readonly number[];
  /** Absolute. */
  readonly paths: readonly string[];
  /** Lower case hex. */
  readonly sha256: readonly string[];
}

/** What the kernel says of a program. */
export interface UnixFacts {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** `null` when it is not known for sure. */
  readonly path: string | null;
  /** `null` when it was not asked for or cannot be known. */
  readonly sha256: string | null;
  /** `false` when this daemon may not look at the program. */
  readonly isProgramVisible: boolean;
}

/** Tells whether a program is the one that an entry is for. What is not known matches nothing. */
export function matchesSelectors(selectors: UnixSelectors, facts: UnixFacts): boolean {
  const { uids, gids, paths, sha256 } = selectors;
  if (uids.length + gids.length + paths.length + sha256.length === 0) return false;
  return matchesButDigest(selectors, facts) && holdsAny(sha256, facts.sha256 === null ? [] : [facts.sha256]);
}

/** Tells whether only the digest of the program is missing to decide. */
export function needsDigest(selectors: UnixSelectors, facts: UnixFacts): boolean {
  return selectors.sha256.length > 0 && facts.isProgramVisible && matchesButDigest(selectors, facts);
}

// --- internal ---

function matchesButDigest({ uids, gids, paths }: UnixSelectors, { uid, gid, groups, path }: UnixFacts): boolean {
  return holdsAny(uids, [uid]) && holdsAny(gids, [gid, ...groups]) && holdsAny(paths, path === null ? [] : [path]);
}

function holdsAny<T>(wanted: readonly T[], found: readonly T[]): boolean {
  return wanted.length === 0 || found.some((value) => wanted.includes(value));
}
