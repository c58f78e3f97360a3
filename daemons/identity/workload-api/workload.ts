import { MezError } from "../../../core/errors/error.js";
import type { PeerCredentials } from "../../../core/unix-socket/peer-credentials.js";
import type { ProcessState, ProcessTable } from "./process-table.js";
import type { ProgramDigests } from "./program-digests.js";
import type { UnixFacts } from "./selectors.js";

/**
 * A process with a connection to the Workload API.
 *
 * The connection is its credential, so everything is compared with what it was when it connected: a process that has
 * ended, another one under its number, one that runs another program or has changed its user is refused. What cannot be
 * seen: that it gave the connection to another process, or that its user made it run other code.
 */
export class Workload {
  readonly #first: ProcessState;

  /** @throws {MezError} `ACCESS_DENIED` when the process has ended, or changed before it could be looked at */
  constructor(
    readonly credentials: PeerCredentials,
    private readonly processes: Pick<ProcessTable, "look">,
    private readonly digests: Pick<ProgramDigests, "of">,
  ) {
    const state = processes.look(credentials.pid);
    if (state === null || !credentials.isRunning()) throw gone();
    this.#first = state;
    this.#look();
  }

  /** Names the process for limits: its number alone may be given again. */
  get processKey(): string {
    return `${this.credentials.pid}:${this.#first.startTime}`;
  }

  /** What is true of the process now. @throws {MezError} `ACCESS_DENIED` when it is not the one that connected any more */
  async attest(wantsDigest: boolean): Promise<UnixFacts> {
    const { pid, uid, gid } = this.credentials;
    const { program } = this.#look();
    const sha256 = wantsDigest && program !== null ? await this.digests.of(pid, program.id, uid) : null;
    const { groups } = this.#look();
    return { pid, uid, gid, groups, path: program?.path ?? null, sha256, isProgramVisible: program !== null };
  }

  #look(): ProcessState {
    const { pid, uid, gid } = this.credentials;
    const now = this.processes.look(pid);
    // Asked last: whatever was read before was read of this process.
    if (now === null || now.startTime !== this.#first.startTime || !this.credentials.isRunning()) throw gone();
    if (now.uid !== uid || now.gid !== gid) throw changed("user");
    if (now.program?.id !== this.#first.program?.id) throw changed("program");
    return now;
  }
}

// --- internal ---

function gone(): MezError {
  return new MezError("ACCESS_DENIED", "the process that connected has ended");
}

function changed(what: "user" | "program"): MezError {
  return new MezError("ACCESS_DENIED", `the process has changed its ${what} since it connected; connect again`);
}
