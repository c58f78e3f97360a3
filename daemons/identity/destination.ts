import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { MezError } from "../../core/errors/error.js";
import { systemReason } from "../../core/errors/system-reason.js";
import { claim } from "./abstract-claim.js";

/** A folder that is ours alone, and who may read it. */
export interface Destination {
  /** Without symbolic links. */
  readonly path: string;
  /** Group that may read the files, `null` for none. */
  readonly groupId: number | null;
  /** Gives it back. */
  release(): Promise<void>;
}

/**
 * Makes the destination ready for this process alone: 0700 (0750 for a group), ours, in a place where nobody else can put
 * another in its stead.
 * @param group Name or number, `null` for none.
 * @throws {MezError} `DESTINATION_UNUSABLE`, `DESTINATION_IN_USE`
 */
export async function claimDestination(path: string, group: string | null): Promise<Destination> {
  const groupId = group === null ? null : findGroup(group);
  const place = prepare(path, groupId);
  const { dev, ino } = statSync(place);
  let release: (() => Promise<void>) | null;
  try {
    release = await claim(`${dev}:${ino}`);
  } catch (cause) {
    throw unusable(path, systemReason(cause), cause);
  }
  if (release === null)
    throw new MezError(
      "DESTINATION_IN_USE",
      `destination ${path} is in use by another mezd identity; stop that one, or give this one its own --destination-dir`,
    );
  return { path: place, groupId, release };
}

// --- internal ---

function prepare(path: string, groupId: number | null): string {
  try {
    makeFolders(path);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unusable(path, systemReason(cause), cause);
  }
  const place = realpathSync(path);
  const found = statSync(place);
  const own = process.getuid?.() ?? found.uid;
  if (found.uid !== own) throw unusable(path, `it belongs to user id ${found.uid}, and mezd runs as ${own}`);
  if ((found.mode & 0o022) !== 0)
    throw unusable(path, `others can write to it (mode ${octal(found)}); run chmod 700 ${path} when you know what is in it`);
  for (let above = dirname(place); ; above = dirname(above)) {
    const folder = statSync(above);
    if (folder.uid !== 0 && folder.uid !== own)
      throw unusable(path, `${above} belongs to user id ${folder.uid}, who could put another folder there`);
    const isSticky = (folder.mode & 0o1000) !== 0; // as /tmp: others cannot rename what is ours
    if ((folder.mode & 0o002) !== 0 && !isSticky)
      throw unusable(path, `anybody can write to ${above} (mode ${octal(folder)}), and so replace it`);
    if (above === dirname(above)) break;
  }
  try {
    if (groupId !== null) chownSync(place, own, groupId);
    chmodSync(place, groupId === null ? 0o700 : 0o750);
  } catch (cause) {
    throw unusable(path, systemReason(cause), cause);
  }
  return place;
}

/** One by one: `recursive` tries for ever in a file system that makes no folders, as /proc. */
function makeFolders(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(path).isDirectory()) return;
    if (code !== "ENOENT" || existsSync(dirname(path))) throw error;
    makeFolders(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}

function findGroup(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of readFileSync("/etc/group", "utf8").split("\n")) {
    const [name, , id] = line.split(":");
    if (name === group && id !== undefined) return Number(id);
  }
  throw new MezError("INVALID_ARGUMENT", `group "${group}" of --group-readable is not in /etc/group; give its number`);
}

function octal({ mode }: Stats): string {
  return (mode & 0o7777).toString(8);
}

function unusable(path: string, why: string, cause?: unknown): MezError {
  return new MezError("DESTINATION_UNUSABLE", `destination ${path} cannot be used: ${why}`, { cause });
}
