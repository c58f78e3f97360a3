/**
 * Which packages that commands added need not lie any more as it was decided. What runs is always what was decided: code of a
 * hash that nobody named is never run.
 */
export interface PackageLeniency {
  /** Whether the copy that this server kept of it will do. */
  fromCopy(id: string): boolean;
  /** Whether the server can go on without it. */
  without(id: string): boolean;
}

/** For what somebody decides now: it has to be there. */
export const STRICT: PackageLeniency = { fromCopy: () => false, without: () => false };

/** For a server that starts: what was decided may have been replaced while it was down. */
export const AT_START: PackageLeniency = { fromCopy: () => true, without: () => true };

/** A package that is neither where it should be nor among the copies of this server, which goes on without it. */
export interface AbsentPackage {
  readonly id: string;
  readonly from: string;
  readonly integrity: string;
  /** Why it cannot be taken. */
  readonly problem: string;
}
