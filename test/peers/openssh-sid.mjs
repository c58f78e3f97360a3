// A newer OpenSSH client (10.1 or later) beside the system's: unpacked from Debian's unstable release into a cache folder, and
// run with its own loader and libraries. Needs neither root nor a chroot. The mirror is the one this machine is configured with.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { aptGet } from "../../cli/bin/bootstrap/debian.mjs";
import { step } from "../../cli/bin/bootstrap/run.mjs";

const OLDEST = [10, 1];
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const PROGRAMS = ["ssh", "scp", "sftp", "ssh-keygen", "ssh-keyscan", "ssh-agent", "ssh-add"];

/** The folder with the newer `ssh`, `scp`, `sftp`, `ssh-keygen` …, whether they are there yet or not. */
export function opensshSidFolder() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "mezite-peers", `openssh-sid-${process.arch}`, "bin");
}

/**
 * Fetches the newer client unless the cache has it.
 * @returns null when it is there and runs, else why not.
 */
export function installOpensshSid() {
  if (process.platform !== "linux" || !existsSync("/etc/debian_version"))
    return "OpenSSH 10.1 is taken from Debian, and this is not Debian";
  const bin = opensshSidFolder();
  if (isRecent(bin)) return null;
  try {
    return step("fetching a newer OpenSSH client", () => fetchClient(bin));
  } catch (error) {
    return error.message;
  }
}

// --- internal ---

/** Unpacks beside the target and moves it there whole, so that nobody meets half a client. */
function fetchClient(bin) {
  const target = join(bin, "..");
  mkdirSync(join(target, ".."), { recursive: true });
  const work = mkdtempSync(`${target}-`);
  try {
    const failure = fetchInto(work);
    if (failure) return failure;
    writeLaunchers(join(work, "root"), join(target, "root"), join(work, "bin"));
    rmSync(join(work, "apt"), { recursive: true, force: true });
    rmSync(target, { recursive: true, force: true });
    renameSync(work, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return isRecent(bin) ? null : `the unpacked client is not OpenSSH ${OLDEST.join(".")} or later`;
}

function isRecent(bin) {
  if (!existsSync(join(bin, "ssh"))) return false;
  const { stderr = "" } = spawnSync(join(bin, "ssh"), ["-V"], { encoding: "utf8" });
  const version = /OpenSSH_(\d+)\.(\d+)/.exec(stderr ?? "");
  if (!version) return false;
  const [major, minor] = [Number(version[1]), Number(version[2])];
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** apt with a state of its own, in which nothing is installed yet: so it fetches the client with all its libraries. */
function fetchInto(work) {
  const mirror = configuredMirror();
  if (!mirror) return "apt has no Debian mirror configured";
  const apt = join(work, "apt");
  for (const folder of ["lists/partial", "archives/partial", "parts"]) mkdirSync(join(apt, folder), { recursive: true });
  writeFileSync(join(apt, "status"), "");
  writeFileSync(join(apt, "sources.list"), `deb [signed-by=${KEYRING}] ${mirror} sid main\n`);
  const options = [
    `Dir::State::status=${join(apt, "status")}`,
    `Dir::State::Lists=${join(apt, "lists")}`,
    `Dir::Cache=${apt}`,
    `Dir::Etc::sourcelist=${join(apt, "sources.list")}`,
    `Dir::Etc::sourceparts=${join(apt, "parts")}`,
    `Dir::Etc::preferencesparts=${join(apt, "parts")}`,
    "APT::Sandbox::User=",
    "APT::Install-Recommends=false",
    "Acquire::Languages=none",
    "Debug::NoLocking=true",
  ].flatMap((option) => ["-o", option]);
  const failure =
    aptGet([...options, "update", "-qq"]) ?? aptGet([...options, "install", "-y", "-qq", "--download-only", "openssh-client"]);
  return failure ?? unpack(join(apt, "archives"), join(work, "root"));
}

/** Where apt would look for this Debian's release file, up to `dists/`. */
function configuredMirror() {
  const codename = /^VERSION_CODENAME=(.+)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  const { stdout } = spawnSync("apt-get", ["update", "--print-uris"], { encoding: "utf8" });
  return new RegExp(`^'([^']+/)dists/${codename}/InRelease'`, "m").exec(stdout ?? "")?.[1] ?? null;
}

function unpack(archives, root) {
  for (const name of readdirSync(archives).filter((file) => file.endsWith(".deb"))) {
    const { status } = spawnSync("dpkg-deb", ["-x", join(archives, name), root], { stdio: "ignore" });
    if (status !== 0) return `dpkg-deb could not unpack ${name}`;
  }
  return null;
}

/**
 * Each program starts through its own loader. ssh starts itself again for ProxyJump by the name it was called by, and scp and sftp
 * start an ssh: so both names lead back here.
 */
function writeLaunchers(unpacked, root, bin) {
  const libraries = readdirSync(join(unpacked, "usr", "lib")).find((name) => name.endsWith("-linux-gnu"));
  const loader = readdirSync(join(unpacked, "usr", "lib", libraries)).find((name) => /^ld-linux.*\.so\.\d+$/.test(name));
  const folder = join(root, "usr", "lib", libraries);
  mkdirSync(bin, { recursive: true });
  for (const name of PROGRAMS) {
    const ownSsh = name === "scp" || name === "sftp" ? `-S "$folder/ssh" ` : "";
    const script = [
      "#!/bin/sh",
      `folder=$(dirname "$0")`,
      `exec "${join(folder, loader)}" --argv0 "$0" --library-path "${folder}" "${join(root, "usr", "bin", name)}" ${ownSsh}"$@"`,
      "",
    ];
    writeFileSync(join(bin, name), script.join("\n"), { mode: 0o755 });
  }
}
