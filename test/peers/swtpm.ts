import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../fixtures/eventually.js";
import { twoPorts } from "../fixtures/free-ports.js";
import { requirePeer } from "./require-peer.js";

/** A TPM as a program, with an endorsement certificate of a maker of its own. */
export interface RunningSwtpm {
  /** For the programs of tpm2-tools. */
  readonly environment: Readonly<Record<string, string>>;
  /** Certificate of the maker, PEM. */
  readonly makerFile: string;
  close(): Promise<void>;
}

/** Makes a TPM with a new endorsement key and starts it on two ports of its own. */
export async function startSwtpm(): Promise<RunningSwtpm> {
  const folder = mkdtempSync(join(tmpdir(), "mezite-swtpm-"));
  try {
    manufacture(folder);
    const { child, port } = await startOnFreePorts(folder);
    return {
      environment: { TPM2TOOLS_TCTI: `swtpm:host=127.0.0.1,port=${port}` },
      makerFile: join(folder, "ca", "maker.pem"),
      close: async () => {
        if (child.exitCode === null && child.signalCode === null) {
          const gone = once(child, "exit");
          child.kill("SIGKILL");
          await gone;
        }
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

// --- internal ---

function manufacture(folder: string): void {
  const maker = join(folder, "ca");
  for (const name of ["state", "ca"]) mkdirSync(join(folder, name), { mode: 0o700 });
  const [config, options] = [join(folder, "localca.conf"), join(folder, "localca.options")];
  const paths = [
    `statedir = ${maker}`,
    `signingkey = ${maker}/maker.key`,
    `issuercert = ${maker}/maker.pem`,
    `certserial = ${maker}/serial`,
  ];
  writeFileSync(config, `${paths.join("\n")}\n`);
  writeFileSync(options, "");
  const tool = [`create_certs_tool=${requirePeer("swtpm_localca")}`, `create_certs_tool_config=${config}`];
  const setup = [...tool, `create_certs_tool_options=${options}`, "active_pcr_banks=sha256"];
  writeFileSync(join(folder, "setup.conf"), `${setup.join("\n")}\n`);
  const args = ["--tpm2", "--tpmstate", join(folder, "state"), "--create-ek-cert", "--config", join(folder, "setup.conf")];
  const { status, stdout, stderr } = spawnSync(requirePeer("swtpm_setup"), [...args, "--overwrite"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`swtpm_setup ended with ${status}:\n${stdout}${stderr}`);
}

/** The TCTI looks for the control channel at the next port. */
async function startOnFreePorts(folder: string): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const [port, control] = await twoPorts();
  const child = start(folder, port, control);
  await eventually(() => child.exitCode !== null || existsSync(join(folder, "pid")));
  if (child.exitCode !== null) throw new Error(`swtpm ended with ${child.exitCode}`);
  return { child, port };
}

function start(folder: string, port: number, control: number): ChildProcess {
  const listen = (at: number): string => `type=tcp,port=${at},bindaddr=127.0.0.1`;
  const args = ["--tpmstate", `dir=${join(folder, "state")}`, "--ctrl", listen(control), "--server", listen(port)];
  const begin = ["--flags", "not-need-init,startup-clear", "--pid", `file=${join(folder, "pid")}`];
  return spawn(requirePeer("swtpm"), ["socket", "--tpm2", ...args, ...begin], { stdio: "ignore" });
}
