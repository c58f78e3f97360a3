import type { WorkloadProblem } from "./workload-identity.js";

/** What the kernel says of a program. Each list that is not empty must hold the program's value; all empty match nothing. JSON. */
export interface UnixSelectors {
  readonly uids: readonly number[];
  /** Primary or supplementary groups. */
  readonly gids: readonly number[];
  /** Absolute paths of executable files. */
  readonly paths: readonly string[];
  /** Of executable files, 64 lower-case hex digits. */
  readonly sha256: readonly string[];
}

/** A program as a daemon attested it. */
export interface AttestedProgram {
  readonly uid: number;
  readonly gids: readonly number[];
  readonly path: string;
  /** Empty when nobody looked. */
  readonly sha256: string;
}

/** Tells whether a program is one of those that are meant. */
export function matchesProgram(selectors: UnixSelectors, { uid, gids, path, sha256 }: AttestedProgram): boolean {
  const lists = [selectors.uids, selectors.gids, selectors.paths, selectors.sha256];
  if (lists.every(({ length }) => length === 0)) return false;
  return (
    holds(selectors.uids, [uid]) &&
    holds(selectors.gids, gids) &&
    holds(selectors.paths, [path]) &&
    holds(selectors.sha256, [sha256])
  );
}

/** What is wrong with selectors, `null` when they can be used. @param path Where they stand in the document. */
export function selectorsProblem(selectors: UnixSelectors, path: WorkloadProblem["path"]): WorkloadProblem | null {
  const { uids, gids, paths, sha256 } = selectors;
  if (uids.length + gids.length + paths.length + sha256.length === 0)
    return { path, message: "name at least one of uid, gid, path and sha256: without them it would be any program on the host" };
  return (
    wrongIn(uids, isId, [...path, "uid"], "a user id from 0 to 4294967294") ??
    wrongIn(gids, isId, [...path, "gid"], "a group id from 0 to 4294967294") ??
    wrongIn(paths, isPath, [...path, "path"], "an absolute path without . and .. parts") ??
    wrongIn(sha256, (value) => /^[0-9a-f]{64}$/.test(value), [...path, "sha256"], "64 lower-case hex digits")
  );
}

// --- internal ---

const MAX_VALUES = 100;

function holds<T>(wanted: readonly T[], values: readonly T[]): boolean {
  return wanted.length === 0 || values.some((value) => wanted.includes(value));
}

function isId(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 0xffff_ffff; // 4294967295 is "no user"
}

function isPath(value: string): boolean {
  return value.length <= 4096 && /^(?:\/(?!\.{1,2}(?:\/|$))[^/\p{Cc}]+)+$/u.test(value);
}

function wrongIn<T extends string | number>(
  values: readonly T[],
  isRight: (value: T) => boolean,
  path: WorkloadProblem["path"],
  wanted: string,
): WorkloadProblem | null {
  if (values.length > MAX_VALUES) return { path, message: `more than ${MAX_VALUES} values` };
  const index = values.findIndex((value) => !isRight(value));
  if (index < 0) return null;
  const shown = String(values[index])
    .replace(/\p{Cc}/gu, "?")
    .slice(0, 80);
  return { path: values.length === 1 ? path : [...path, index], message: `"${shown}" is not ${wanted}` };
}
