/**
 * What kind of failure a code stands for. A kind decides the gRPC status (`core/rpc/status.ts`) and the process
 * exit code (`core/cli/exit-codes.ts`), so a code never has to name either.
 */
export type ErrorKind =
  | "usage" //            the caller's words are wrong: an unknown flag, a bad duration, a malformed role
  | "unauthenticated" //  we do not know who is asking
  | "denied" //           we know, and the answer is no
  | "not-found"
  | "already-exists"
  | "conflict" //         the state of the thing forbids it now: token used, last admin, plugin required by another
  | "limit" //            too many attempts, too much data
  | "unavailable" //      a peer or backend is out of reach; trying again may work
  | "timeout"
  | "corrupt" //          stored or received data fails its check
  | "environment" //      this machine: port in use, folder not writable, disk full
  | "internal";

/** The closed list of error codes. Tests and callers look at these, never at messages. Kept in alphabetical order. */
export const ERROR_CODES = {
  ACCESS_DENIED: "denied",
  ADDRESS_IN_USE: "environment",
  ADDRESS_UNUSABLE: "environment",
  ALREADY_EXISTS: "already-exists",
  ARCHIVE_NOT_CONFIGURED: "environment",
  AUDIT_CHAIN_BROKEN: "corrupt",
  BUCKET_REFUSED: "environment",
  BUCKET_UNAVAILABLE: "unavailable",
  CANCELLED: "unavailable",
  CONFIG_INVALID: "usage",
  CONFLICT: "conflict",
  DATA_DIRECTORY_IN_USE: "environment",
  DATA_DIRECTORY_UNUSABLE: "environment",
  DESTINATION_IN_USE: "environment",
  DESTINATION_UNUSABLE: "environment",
  DEVICE_KEY_UNUSABLE: "environment",
  DEVICE_NOT_FOUND: "not-found",
  DEVICE_REFUSED: "denied",
  ENROLMENT_REFUSED: "denied",
  FACTOR_NOT_FOUND: "not-found",
  IDENTITY_UNREADABLE: "corrupt",
  IDENTITY_UNWRITABLE: "environment",
  INTERNAL: "internal",
  INVALID_ARGUMENT: "usage",
  INVALID_CREDENTIALS: "unauthenticated",
  INVALID_DOCUMENT: "usage",
  INVALID_DURATION: "usage",
  JOIN_REFUSED: "denied",
  JOIN_SERVER_UNPROVEN: "denied",
  JOIN_TOKEN_REQUIRED: "usage",
  KEY_BACKEND_REFUSED: "environment",
  KEY_BACKEND_UNAVAILABLE: "unavailable",
  KEY_CORRUPT: "corrupt",
  KEY_FILE_INVALID: "environment",
  KEY_PASSPHRASE_INVALID: "environment",
  LAST_ADMIN: "conflict",
  LAST_FACTOR: "conflict",
  LIMIT_EXCEEDED: "limit",
  LOCK_NOT_FOUND: "not-found",
  MFA_EXPIRED: "unauthenticated",
  MFA_REFUSED: "unauthenticated",
  MFA_REQUIRED: "denied",
  NODE_OFFLINE: "unavailable",
  NOT_FOUND: "not-found",
  PASSWORD_CHANGE_REQUIRED: "denied",
  PASSWORD_REFUSED: "usage",
  PEER_CREDENTIALS_UNAVAILABLE: "environment",
  PLUGIN_DISPOSE_FAILED: "internal",
  PLUGIN_DRAIN_FAILED: "internal",
  PLUGIN_GRAPH_INVALID: "environment",
  PLUGIN_INTEGRITY_FAILED: "corrupt",
  PLUGIN_MANIFEST_INVALID: "environment",
  PLUGIN_MANIFEST_MISMATCH: "environment",
  PLUGIN_NEEDS_RESTART: "conflict",
  PLUGIN_NOT_ENABLED: "unavailable",
  PLUGIN_PACKAGE_REFUSED: "environment",
  PLUGIN_REGISTER_FAILED: "environment",
  PLUGIN_REQUIRED: "conflict",
  PLUGIN_START_FAILED: "environment",
  PLUGIN_UNAVAILABLE: "unavailable",
  PLUGIN_UNKNOWN: "not-found",
  PORT_UNAVAILABLE: "environment",
  PROGRAM_MISSING: "environment",
  ROLE_BUILT_IN: "conflict",
  ROLE_IN_USE: "conflict",
  ROLE_NOT_FOUND: "not-found",
  ROTATION_NOT_READY: "conflict",
  SEAL_BROKEN: "corrupt",
  SERVER_NOT_TRUSTED: "denied",
  SERVICE_NOT_REQUIRED: "internal",
  SETTING_UNKNOWN: "not-found",
  SSH_AUTHENTICATION_FAILED: "unauthenticated",
  SSH_CERTIFICATE_REFUSED: "denied",
  SSH_CHANNEL_REFUSED: "denied",
  SSH_CONNECTION_FAILED: "unavailable",
  SSH_HOST_KEY_REFUSED: "denied",
  SSH_KEY_UNSUPPORTED: "usage",
  SSH_MALFORMED: "corrupt",
  SSH_SIGNATURE_INVALID: "denied",
  STORAGE_CORRUPT: "corrupt",
  STORAGE_FLUSH_FAILED: "environment",
  STORAGE_FULL: "environment",
  STORAGE_IN_USE: "environment",
  STORAGE_LOGIN_REFUSED: "environment",
  STORAGE_MIGRATION_FAILED: "internal",
  STORAGE_NEWER: "environment",
  STORAGE_NOT_EMPTY: "conflict",
  STORAGE_UNSUITABLE: "environment",
  STORAGE_UNWRITABLE: "environment",
  TIMEOUT: "timeout",
  TOO_MANY_ATTEMPTS: "limit",
  TUNNEL_LOST: "unavailable",
  TUNNEL_STREAM_RESET: "unavailable",
  UNAUTHENTICATED: "unauthenticated",
  UNAVAILABLE: "unavailable",
  USER_EXISTS: "already-exists",
  USER_NOT_FOUND: "not-found",
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Tells whether a word received from outside is one of our codes. */
export function isErrorCode(word: string): word is ErrorCode {
  return Object.hasOwn(ERROR_CODES, word);
}
