import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type ErrorCode, type ErrorKind, isErrorCode } from "../errors/codes.js";
import { MezError } from "../errors/error.js";
import { connectionReason } from "./connection-reason.js";

const STATUS_OF_KIND: Readonly<Record<ErrorKind, status>> = {
  usage: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  denied: status.PERMISSION_DENIED,
  "not-found": status.NOT_FOUND,
  "already-exists": status.ALREADY_EXISTS,
  conflict: status.FAILED_PRECONDITION,
  limit: status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  corrupt: status.DATA_LOSS,
  environment: status.INTERNAL,
  internal: status.INTERNAL,
};

const CODE_OF_STATUS: ReadonlyMap<status, ErrorCode> = new Map<status, ErrorCode>([
  [status.UNAVAILABLE, "UNAVAILABLE"],
  [status.DEADLINE_EXCEEDED, "TIMEOUT"],
  [status.CANCELLED, "CANCELLED"],
  [status.UNIMPLEMENTED, "PLUGIN_NOT_ENABLED"],
  [status.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"],
  [status.INVALID_ARGUMENT, "INVALID_ARGUMENT"],
]);

const CODE_KEY = "mez-code";
const FIELDS_KEY = "mez-fields-bin";

/** What leaves the server for a `MezError`: its message, code and fields, and nothing of `detail` or `cause`. */
export function toStatus(error: MezError, metadata: Metadata): { code: status; details: string; metadata: Metadata } {
  metadata.set(CODE_KEY, error.code);
  if (Object.keys(error.fields).length > 0) metadata.set(FIELDS_KEY, Buffer.from(JSON.stringify(error.fields)));
  return { code: STATUS_OF_KIND[error.kind], details: error.message, metadata };
}

/** What a client throws for a failed call: the server's own code when it named one, else one for the transport's failure. */
export function fromStatus(error: ServiceError, address: string): MezError {
  const word = error.metadata?.get(CODE_KEY)[0];
  if (typeof word === "string" && isErrorCode(word)) {
    return new MezError(word, error.details, { fields: readFields(error.metadata) });
  }
  const code = CODE_OF_STATUS.get(error.code) ?? "INTERNAL";
  return new MezError(code, describe(code, error, address), { detail: error.message });
}

// --- internal ---

function readFields(metadata: Metadata): Record<string, string | number | boolean> {
  const bytes = metadata.get(FIELDS_KEY)[0];
  if (!Buffer.isBuffer(bytes) || bytes.length > 4096) return {};
  try {
    const fields: unknown = JSON.parse(bytes.toString("utf8"));
    return Object.fromEntries(
      Object.entries(fields ?? {}).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value)),
    );
  } catch {
    return {};
  }
}

function describe(code: ErrorCode, error: ServiceError, address: string): string {
  if (code === "UNAVAILABLE") return `cannot reach the auth service at ${address}: ${connectionReason(error.details)}`;
  if (code === "TIMEOUT") return `the auth service at ${address} did not answer in time`;
  if (code === "CANCELLED") return "the call was cancelled";
  if (code === "PLUGIN_NOT_ENABLED") return `the plugin behind this command is not enabled on the server at ${address}`;
  return (error.details.split("\n")[0] ?? "").slice(0, 300);
}
