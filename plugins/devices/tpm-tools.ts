import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { MezError, messageOf } from "../../core/errors/error.js";

/** What programs are started with. */
export type ProgramEnvironment = Readonly<Record<string, string | undefined>>;

/** A key that only the TPM that made it can use: TPM2B_PUBLIC and TPM2B_PRIVATE. */
export interface TpmKeyBlobs {
  readonly public: Buffer;
  readonly private: Buffer;
}

/** Whether this machine seems to have a TPM that its person may use. */
export function hasTpm(env: ProgramEnvironment): boolean {
  return Boolean(env.TPM2TOOLS_TCTI) || existsSync("/dev/tpmrm0");
}

/** The TPM of this machine, by the programs of tpm2-tools 5. */
export class TpmTools {
  private constructor(
    private readonly folder: string,
    private readonly env: ProgramEnvironment,
  ) {}

  /**
   * Works with the TPM in a folder of its own, which is gone afterwards.
   * @throws {MezError} `DEVICE_KEY_UNUSABLE` with what the program said
   */
  static async with<T>(env: ProgramEnvironment, work: (tpm: TpmTools) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), "mezite-tpm-"));
    try {
      return await work(new TpmTools(folder, env));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Makes a signing key on P-256 that cannot leave the TPM. */
  async createKey(): Promise<TpmKeyBlobs> {
    await this.#makePrimary();
    const attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
    const files = ["-u", this.#file("key.pub"), "-r", this.#file("key.priv")];
    await this.#run("tpm2_create", ["-Q", "-C", this.#file("primary.ctx"), "-G", "ecc256", "-a", attributes, ...files]);
    await this.#flush();
    return { public: await this.#read("key.pub"), private: await this.#read("key.priv") };
  }

  /** The endorsement key that has a certificate, RSA before ECC, as TPM2B_PUBLIC; without any, the RSA one and nothing. */
  async endorsement(): Promise<{ readonly public: Buffer; readonly certificate: Buffer }> {
    for (const { algorithm, certificateIndex } of ENDORSEMENT_KEYS) {
      const read = this.#run("tpm2_nvread", ["-Q", certificateIndex, "-o", this.#file("ek.der")]);
      const certificate = await read.then(() => this.#read("ek.der")).catch(() => null);
      if (certificate !== null) return { public: await this.#makeEndorsement(algorithm), certificate };
    }
    return { public: await this.#makeEndorsement("rsa"), certificate: Buffer.alloc(0) };
  }

  /** Decrypts what was made for this TPM and key: TPM2_ActivateCredential. Comes after `endorsement`. */
  async activate(key: TpmKeyBlobs, credential: Buffer, credentialSecret: Buffer): Promise<Buffer> {
    const session = this.#file("session.ctx");
    await this.#load(key);
    // The header that tpm2_makecredential writes: magic, version.
    const header = Buffer.from("badcc0de00000001", "hex");
    await writeFile(this.#file("credential"), Buffer.concat([header, credential, credentialSecret]), { mode: 0o600 });
    await this.#run("tpm2_startauthsession", ["--policy-session", "-S", session]);
    try {
      await this.#run("tpm2_policysecret", ["-Q", "-S", session, "-c", "e"]);
      const keys = ["-c", this.#file("key.ctx"), "-C", this.#file("ek.ctx"), "-P", `session:${session}`];
      const files = ["-i", this.#file("credential"), "-o", this.#file("activated")];
      await this.#run("tpm2_activatecredential", ["-Q", ...keys, ...files]);
    } finally {
      await this.#run("tpm2_flushcontext", ["-Q", session]).catch(() => undefined);
      await this.#flush();
    }
    return this.#read("activated");
  }

  /** @returns ECDSA with SHA-256, DER. */
  async sign(key: TpmKeyBlobs, message: Buffer): Promise<Buffer> {
    await this.#load(key);
    await writeFile(this.#file("message"), message, { mode: 0o600 });
    const how = ["-g", "sha256", "-s", "ecdsa", "-f", "plain"];
    await this.#run("tpm2_sign", [
      "-Q",
      "-c",
      this.#file("key.ctx"),
      ...how,
      "-o",
      this.#file("signature"),
      this.#file("message"),
    ]);
    await this.#flush();
    return this.#read("signature");
  }

  async #makeEndorsement(algorithm: "rsa" | "ecc"): Promise<Buffer> {
    await this.#run("tpm2_createek", ["-Q", "-c", this.#file("ek.ctx"), "-G", algorithm, "-u", this.#file("ek.pub")]);
    await this.#flush();
    return this.#read("ek.pub");
  }

  async #makePrimary(): Promise<void> {
    await this.#run("tpm2_createprimary", ["-Q", "-C", "o", "-G", "ecc256", "-c", this.#file("primary.ctx")]);
    await this.#flush();
  }

  async #load(key: TpmKeyBlobs): Promise<void> {
    await this.#makePrimary();
    await writeFile(this.#file("key.pub"), key.public, { mode: 0o600 });
    await writeFile(this.#file("key.priv"), key.private, { mode: 0o600 });
    const files = ["-u", this.#file("key.pub"), "-r", this.#file("key.priv"), "-c", this.#file("key.ctx")];
    await this.#run("tpm2_load", ["-Q", "-C", this.#file("primary.ctx"), ...files]);
    await this.#flush();
  }

  /** Without a resource manager, a TPM has room for three objects. */
  async #flush(): Promise<void> {
    await this.#run("tpm2_flushcontext", ["-Q", "-t"]).catch(() => undefined);
  }

  #file(name: string): string {
    return join(this.folder, name);
  }

  #read(name: string): Promise<Buffer> {
    return readFile(this.#file(name));
  }

  async #run(program: string, args: readonly string[]): Promise<void> {
    try {
      await run(program, [...args], { env: { ...this.env }, timeout: TIMEOUT_MS });
    } catch (cause) {
      // Not as its cause: these programs print a page, and name the file of each library that they tried.
      throw new MezError("DEVICE_KEY_UNUSABLE", reasonOf(program, cause), { detail: messageOf(cause) });
    }
  }
}

// --- internal ---

const run = promisify(execFile);
const TIMEOUT_MS = 30_000;
/** RSA 2048 and ECC P-256. @see TCG EK Credential Profile, 2.2.1.4 */
const ENDORSEMENT_KEYS = [
  { algorithm: "rsa", certificateIndex: "0x01c00002" },
  { algorithm: "ecc", certificateIndex: "0x01c0000a" },
] as const;

function reasonOf(program: string, thrown: unknown): string {
  const { code, stderr } = thrown as { readonly code?: unknown; readonly stderr?: unknown };
  if (code === "ENOENT") return `the TPM is used by the programs of tpm2-tools, and ${program} is not installed`;
  const said = (typeof stderr === "string" ? stderr : "").split("\n").find((line) => line.startsWith("ERROR")) ?? "";
  const why = said
    .replace(/^ERROR:\s*(?:\S+:\d+:\w+\(\)\s*)?/, "") // the place in the program's source
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 160);
  return `the TPM of this machine does not do it: ${program} failed${why === "" ? "" : ` (${why})`}`;
}
