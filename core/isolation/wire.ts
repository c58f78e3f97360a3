import { isErrorCode } from "../errors/codes.js";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import type { ProcessRole } from "../plugin/contract.js";
import type { FrameLimits } from "./frames.js";
import { plainText, reasonOf } from "./plugin-text.js";

const KIB = 1024;
const MIB = 1024 * KIB;

/** What the host sends: pieces of recordings, events, and what it is asked to have signed. */
export const FROM_HOST: FrameLimits = { textBytes: 16 * MIB, bytes: 16 * MIB };

/** What a plugin sends at most, of whatever kind. The host reads it between everything else that it does. */
export const FROM_PLUGIN: FrameLimits = { textBytes: 512 * KIB, bytes: 256 * KIB };

/** What a plugin sends at most of the kind that a message is of. */
export function replyLimits(message: unknown): FrameLimits {
  return REPLY_LIMITS.get((message as { readonly type?: unknown } | null)?.type) ?? NOTHING;
}

/** Bytes of a stream that may be under way before the reader asks for more. */
export const STREAM_WINDOW_BYTES = 1024 * 1024;

/** What an isolated plugin is told before anything else. */
export interface Introduction {
  readonly id: string;
  /** Absolute path of the module to import. */
  readonly entry: string;
  /** Folder of the copy that it lies in. */
  readonly folder: string;
  /** Folder of the store. */
  readonly store: string;
  readonly roles: readonly ProcessRole[];
  /** Secrets in it are text. */
  readonly config: unknown;
  /** JSON pointers to the secrets. */
  readonly secrets: readonly string[];
  readonly clusterName: string;
  readonly version: string;
  /** Folder that it may write in. */
  readonly dataDirectory: string;
}

/** What its `register` did. */
export interface Registration {
  readonly implementations: readonly {
    readonly port: string;
    readonly name: string;
  }[];
}

/** What its `start` left: values of implementations that the host copies. */
export interface Started {
  readonly properties: readonly { readonly port: string; readonly name: string; readonly values: Record<string, unknown> }[];
}

/** From the host to the plugin. `call` numbers are the host's. */
export type Request =
  | { readonly type: "introduce"; readonly call: number; readonly introduction: Introduction }
  | { readonly type: "hook"; readonly call: number; readonly hook: "start" | "drain" | "dispose" }
  | {
      readonly type: "call";
      readonly call: number;
      readonly port: string;
      readonly name: string;
      readonly method: string;
      readonly args: readonly unknown[];
    }
  | { readonly type: "abort"; readonly call: number }
  | { readonly type: "more"; readonly call: number; readonly bytes: number }
  | { readonly type: "ping"; readonly call: number };

/** From the plugin to the host. */
export type Reply =
  | { readonly type: "answer"; readonly call: number; readonly value?: unknown }
  | { readonly type: "failure"; readonly call: number; readonly error: WireError }
  | { readonly type: "chunk"; readonly call: number; readonly bytes: Buffer }
  | { readonly type: "end"; readonly call: number }
  | {
      readonly type: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields: string;
    };

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/** An error as it is sent; what is no `MezError` is told by its message and those of its causes. */
export function toWireError(thrown: unknown): WireError {
  if (isMezError(thrown)) return { code: thrown.code, message: cut(thrown.message), fields: keptOf(thrown.fields) };
  const { code, fields } = (thrown ?? {}) as { code?: unknown; fields?: unknown };
  if (typeof code === "string" && isErrorCode(code)) return { code, message: cut(messageOf(thrown)), fields: keptOf(fields) };
  return { code: "INTERNAL", message: cut(reasonOf(thrown)), fields: {} };
}

/**
 * The error that an isolated plugin sent; nothing of it is taken on trust but its text, which is cut. What is no error for
 * people is `INTERNAL`, with the text in `detail`.
 */
export function fromWireError(id: string, sent: unknown): MezError {
  const { code, message, fields } = (sent ?? {}) as Partial<Record<keyof WireError, unknown>>;
  const text = plainText(message, MAX_MESSAGE);
  if (typeof code !== "string" || !isErrorCode(code) || code === "INTERNAL")
    return new MezError("INTERNAL", `plugin "${id}" failed`, { detail: text });
  return new MezError(code, text, { fields: keptOf(fields) });
}

// --- internal ---

const REPLY_LIMITS: ReadonlyMap<unknown, FrameLimits> = new Map<Reply["type"], FrameLimits>([
  ["answer", { textBytes: 512 * KIB, bytes: 64 * KIB }],
  ["failure", { textBytes: 64 * KIB, bytes: 0 }],
  ["chunk", { textBytes: KIB, bytes: 256 * KIB }],
  ["end", { textBytes: KIB, bytes: 0 }],
  ["log", { textBytes: 64 * KIB, bytes: 0 }],
]);
const NOTHING: FrameLimits = { textBytes: 0, bytes: 0 };
const MAX_MESSAGE = 1000;
const MAX_FIELDS = 20;
const MAX_FIELD = 200;

function cut(text: string): string {
  return text.slice(0, MAX_MESSAGE);
}

/** Fields that an error may have, cut. */
function keptOf(fields: unknown): WireError["fields"] {
  const entries = typeof fields === "object" && fields !== null ? Object.entries(fields as Record<string, unknown>) : [];
  const kept = entries
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
    .slice(0, MAX_FIELDS)
    .map(([key, value]) => [key.slice(0, MAX_FIELD), typeof value === "string" ? value.slice(0, MAX_FIELD) : value]);
  return Object.fromEntries(kept) as WireError["fields"];
}
