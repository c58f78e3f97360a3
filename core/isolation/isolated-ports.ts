import type { Port } from "../plugin/contract.js";
import { AUDIT_FORWARDER } from "../ports/audit-forwarder.js";
import { CONNECTOR } from "../ports/connector.js";
import { INTEGRATION, parametersProblem, planProblem } from "../ports/integration.js";
import { KEY_BACKEND } from "../ports/key-backend.js";
import { RECORDING_STORE } from "../ports/recording-store.js";

/** How one method of a port is called in another process. */
export interface IsolatedMethod {
  /** How long the other side may take; for a stream, how long it may send nothing while somebody waits. */
  readonly timeoutMs: number;
  /** The method answers with a readable stream of bytes. */
  readonly isStream?: true;
  /** Its last argument is an `AbortSignal`. */
  readonly hasSignal?: true;
  /** Whether an answer is what the port says: the other side is not trusted with that. */
  readonly accepts: (answer: unknown) => boolean;
}

/** A port that a plugin in a process of its own can fill. */
export interface IsolatedPort {
  readonly port: Port<unknown>;
  readonly methods: Readonly<Record<string, IsolatedMethod>>;
  /** Values of an implementation that are copied when it is made. */
  readonly properties?: Readonly<Record<string, (value: unknown) => boolean>>;
}

const isNothing = (answer: unknown): boolean => answer === undefined || answer === null;
const isCount = (answer: unknown): boolean => Number.isSafeInteger(answer) && (answer as number) >= 0;
const isSignature = (answer: unknown): boolean => Buffer.isBuffer(answer) && answer.length === 64;
const isKey = (answer: unknown): boolean => {
  const { handle, algorithm, publicKeyDer } = (answer ?? {}) as Record<string, unknown>;
  const isHandle = typeof handle === "string" && handle.length > 0 && handle.length <= 512;
  return isHandle && (algorithm === "ed25519" || algorithm === "ecdsa-p256") && Buffer.isBuffer(publicKeyDer);
};

const isIdentity = (answer: unknown): boolean => {
  const { userName, claims } = (answer ?? {}) as Record<string, unknown>;
  return typeof userName === "string" && typeof claims === "object" && claims !== null;
};

const PORTS: readonly IsolatedPort[] = [
  {
    port: RECORDING_STORE,
    methods: {
      append: { timeoutMs: 60_000, accepts: isCount },
      size: { timeoutMs: 30_000, accepts: isCount },
      complete: { timeoutMs: 60_000, accepts: isNothing },
      read: { timeoutMs: 60_000, isStream: true, accepts: isNothing },
      delete: { timeoutMs: 60_000, accepts: isNothing },
    },
  },
  {
    port: KEY_BACKEND,
    methods: {
      generate: { timeoutMs: 30_000, accepts: isKey },
      sign: { timeoutMs: 10_000, accepts: isSignature },
      destroy: { timeoutMs: 30_000, accepts: isNothing },
    },
  },
  {
    port: AUDIT_FORWARDER,
    methods: { deliver: { timeoutMs: 60_000, hasSignal: true, accepts: isNothing } },
    properties: { repeatSeconds: (value) => value === undefined || (typeof value === "number" && value >= 0) },
  },
  {
    port: CONNECTOR,
    methods: { checkPassword: { timeoutMs: 20_000, hasSignal: true, accepts: isIdentity } },
  },
  {
    port: INTEGRATION,
    methods: { plan: { timeoutMs: 20_000, hasSignal: true, accepts: (answer) => planProblem(answer) === null } },
    properties: {
      summary: (value) => typeof value === "string",
      parameters: (value) => parametersProblem(value) === null,
    },
  },
];

/** Every port that a plugin with `isolation: process` may fill, by id. */
export const ISOLATED_PORTS: ReadonlyMap<string, IsolatedPort> = new Map(PORTS.map((each) => [each.port.id, each]));
