import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { Cluster, type Daemon } from "../../fixtures/cluster.js";
import { cpuSeconds } from "../cpu-time.js";
import { residentKib } from "../resident-memory.js";
import { enrol } from "./enrolment.js";
import { Fleet } from "./fleet.js";
import { agentFolder, agentName } from "./fleet-protocol.js";

/** A user, and a role that only they have: whom one can lock without locking anybody out. */
export const BYSTANDER = "bystander";

const AGENTS_PER_FLEET = 5_000;
const LAST_LINES = 10;

/** A figure of each of the two processes, and of those of the agents together. */
export interface Load {
  readonly auth: number;
  readonly proxy: number;
  readonly agents: number;
}

/** A cluster with an auth service and a proxy as two processes, and agents in some more. */
export class ScaleBed {
  #joined = 0;
  fleets: readonly Fleet[] = [];

  private constructor(
    readonly cluster: Cluster,
    private readonly profiles: string | null,
  ) {}

  /** @param profiles Folder for the CPU profiles of all processes; `null` for none. */
  static async start(profiles: string | null): Promise<ScaleBed> {
    const cluster = await Cluster.start({ node: "none", proxy: "apart" });
    if (profiles !== null) cluster.within = ["env", `NODE_OPTIONS=--cpu-prof --cpu-prof-dir=${profiles}`];
    cluster.createRole(BYSTANDER, {});
    cluster.person(BYSTANDER, [`--roles=${BYSTANDER}`]);
    return new ScaleBed(cluster, profiles);
  }

  get auth(): Daemon {
    return this.cluster.server;
  }

  get proxy(): Daemon {
    if (this.cluster.proxy === null) throw new Error("the proxy does not run");
    return this.cluster.proxy;
  }

  /** How many the processes of agents have. */
  get agentCount(): number {
    return this.fleets.reduce((sum, { order }) => sum + order.agents, 0);
  }

  /** Resident memory, in MiB. */
  get residentMib(): Load {
    return this.#load((process) => residentKib(process) / 1024);
  }

  /** Processor time taken so far, in seconds. */
  get cpuSeconds(): Load {
    return this.#load(cpuSeconds);
  }

  /** Processor time that they take while `work` is done, in seconds. */
  async cpuSecondsOf(work: () => Promise<unknown>): Promise<Load> {
    const before = this.cpuSeconds;
    await work();
    const after = this.cpuSeconds;
    return { auth: after.auth - before.auth, proxy: after.proxy - before.proxy, agents: after.agents - before.agents };
  }

  /** What auth service and proxy logged last. */
  get lastWords(): string {
    const last = ({ output }: Daemon): string => output.trimEnd().split("\n").slice(-LAST_LINES).join("\n");
    return `auth service:\n${last(this.auth)}\nproxy:\n${last(this.proxy)}\n`;
  }

  /** Gives as many agents as are missing their identities, while the auth service stands still. */
  async join(agents: number): Promise<readonly []> {
    if (agents <= this.#joined) return [];
    await this.#stopAll();
    const missing = Array.from({ length: agents - this.#joined }, (_, index) => agentName(this.#joined + index));
    await enrol(
      this.cluster.dataDirectory,
      missing.map((name) => ({ name, folder: agentFolder(this.#folder, name) })),
    );
    this.#joined = agents;
    return [];
  }

  /** Starts auth service and proxy anew, then the processes of the agents, which do not connect yet. */
  async restart(agents: number): Promise<readonly []> {
    await this.#stopAll();
    await this.cluster.startServer();
    await this.cluster.startProxy();
    const starts = Array.from({ length: Math.ceil(agents / AGENTS_PER_FLEET) }, (_, index) => index * AGENTS_PER_FLEET);
    this.fleets = await Promise.all(
      starts.map((first) => Fleet.start(this.#order(first, Math.min(AGENTS_PER_FLEET, agents - first)), this.profiles)),
    );
    return [];
  }

  async stop(): Promise<void> {
    await this.#stopFleets();
    await this.cluster.proxy?.stop(); // in order, so that it writes its profile
    await this.cluster.stop();
  }

  #load(figureOf: (process: ChildProcess) => number): Load {
    const agents = this.fleets.reduce((sum, fleet) => sum + figureOf(fleet.child), 0);
    return { auth: figureOf(this.auth.process), proxy: figureOf(this.proxy.process), agents };
  }

  async #stopAll(): Promise<void> {
    await this.#stopFleets();
    await this.proxy.stop();
    await this.auth.stop();
  }

  async #stopFleets(): Promise<void> {
    await Promise.all(this.fleets.map((fleet) => fleet.stop()));
    this.fleets = [];
  }

  get #folder(): string {
    return join(this.cluster.folder, "agents");
  }

  #order(first: number, agents: number) {
    const { ports } = this.cluster;
    const folder = this.#folder;
    return { authServer: `localhost:${ports.auth}`, tunnelServer: `localhost:${ports.tunnel}`, folder, first, agents };
  }
}
