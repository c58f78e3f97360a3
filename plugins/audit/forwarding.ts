import type { Lifecycle } from "../../core/plugin/contract.js";
import type { AuditForwarder } from "../../core/ports/audit-forwarder.js";
import { ForwarderPump, type ForwarderState, type PumpParts } from "./forwarder-pump.js";

export interface ForwardingParts extends Omit<PumpParts, "name" | "forwarder"> {
  /** The forwarders that there are now, by name. */
  readonly names: () => readonly string[];
  readonly forwarder: (name: string) => AuditForwarder;
}

const LOOK_MS = 2_000;

/** Keeps a pump for each forwarder there is, also for those that come and go while the process runs. */
export class Forwarding implements Lifecycle {
  readonly #pumps = new Map<string, ForwarderPump>();
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly parts: ForwardingParts) {}

  async start(): Promise<void> {
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Lets go of what is under way: it comes again. */
  async drain(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await Promise.all([...this.#pumps.values()].map((pump) => pump.stop()));
  }

  dispose(): Promise<void> {
    return this.drain();
  }

  /** Says that events may have come. Called inside of transactions: returns at once. */
  wake(): void {
    for (const pump of this.#pumps.values()) pump.wake();
  }

  /** By name. */
  states(): readonly ForwarderState[] {
    return [...this.#pumps.values()].map((pump) => pump.state).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The last event that all of them have taken; infinite when there is none. */
  takenSeq(): number {
    return Math.min(...this.states().map(({ seq }) => seq));
  }

  #look(): void {
    const names = new Set(this.parts.names());
    for (const [name, pump] of this.#pumps) {
      if (names.has(name)) continue;
      this.#pumps.delete(name);
      void pump.stop();
    }
    for (const name of names) {
      if (this.#pumps.has(name)) continue;
      const pump = new ForwarderPump({ ...this.parts, name, forwarder: () => this.parts.forwarder(name) });
      this.#pumps.set(name, pump);
      pump.start();
    }
  }
}
