import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type {
  Attempts,
  FleetOrder,
  FleetQuestion,
  NumberedAnswer,
  NumberedQuestion,
  Presence,
  Reached,
  Reported,
} from "./fleet-protocol.js";

/** Agents in a process of their own, told what to do over IPC. */
export class Fleet {
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #asked = 0;

  private constructor(
    readonly child: ChildProcess,
    readonly order: FleetOrder,
  ) {
    child.on("message", ({ number, answer, error }: NumberedAnswer) => {
      const asked = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (error === undefined) asked?.resolve(answer);
      else asked?.reject(new Error(error));
    });
    child.once("exit", (code, signal) => {
      for (const asked of this.#waiting.values()) asked.reject(new Error(`a process of agents ended with ${code ?? signal}`));
    });
  }

  /** @param profiles Folder for the CPU profile of the process; `null` for none. */
  static async start(order: FleetOrder, profiles: string | null = null): Promise<Fleet> {
    const profiling = profiles === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`];
    const child = fork(fileURLToPath(new URL("fleet-process.js", import.meta.url)), [], {
      execArgv: [...profiling, "--max-semi-space-size=64", "--import", import.meta.resolve("reflect-metadata")],
      env: { ...process.env, SCALE_FLEET: JSON.stringify(order) },
    });
    await once(child, "message");
    return new Fleet(child, order);
  }

  /** @throws {Error} what the process failed with */
  ask(question: Extract<FleetQuestion, { ask: "presence" }>): Promise<Presence>;
  ask(question: Extract<FleetQuestion, { ask: "attempts" }>): Promise<Attempts>;
  ask(question: Extract<FleetQuestion, { ask: "report" }>): Promise<Reported>;
  ask(question: Extract<FleetQuestion, { ask: "reached" }>): Promise<Reached>;
  ask(question: Extract<FleetQuestion, { ask: "withoutTunnel" | "withoutNews" }>): Promise<number>;
  ask(question: Extract<FleetQuestion, { ask: "connect" | "count" | "follow" }>): Promise<unknown>;
  ask(question: FleetQuestion): Promise<unknown> {
    this.#asked += 1;
    const asked = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#asked, asked);
    this.child.send({ number: this.#asked, question } satisfies NumberedQuestion);
    return asked.promise;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.disconnect(); // it exits then, and writes its profile
    await exited;
  }
}
