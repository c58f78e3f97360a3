import { MezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";

/** `plugins.s3.config` of the config file, after its schema. */
export interface S3Config {
  readonly bucket?: string;
  readonly region: string;
  readonly endpoint: string;
  readonly path_style?: boolean;
  readonly access_key_id: string;
  readonly secret_access_key?: Secret;
  readonly encryption: "" | "AES256" | "aws:kms";
  readonly kms_key_id: string;
  readonly object_lock: "" | "governance" | "compliance";
  readonly retention_days: number;
}

export interface S3Settings {
  readonly bucket: string;
  readonly region: string;
  /** `null` for Amazon's own. */
  readonly endpoint: string | null;
  readonly usesPathStyle: boolean;
  /** `null` takes the default chain: environment, shared files, container and instance roles. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: Secret } | null;
  /** `null` leaves it to the bucket. */
  readonly encryption: { readonly algorithm: "AES256" | "aws:kms"; readonly kmsKeyId: string | null } | null;
  /** `null` leaves it to the bucket's default retention. */
  readonly lock: { readonly mode: "GOVERNANCE" | "COMPLIANCE"; readonly days: number } | null;
}

/**
 * Checks what a schema cannot.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function s3Settings(config: S3Config): S3Settings {
  const { bucket, region, endpoint, access_key_id: accessKeyId, secret_access_key: secretAccessKey } = config;
  if (bucket === undefined) throw invalid("bucket", "is missing; it names the bucket of the cluster");
  if (endpoint !== "") requireUrl(endpoint);
  if ((accessKeyId === "") !== (secretAccessKey === undefined))
    throw invalid(
      accessKeyId === "" ? "access_key_id" : "secret_access_key",
      "is missing; give both, or neither for the default credentials",
    );
  if (config.kms_key_id !== "" && config.encryption !== "aws:kms")
    throw invalid("kms_key_id", "goes with encryption: aws:kms only");
  if ((config.object_lock === "") !== (config.retention_days === 0))
    throw invalid(config.object_lock === "" ? "object_lock" : "retention_days", "is missing; the two go together");
  return {
    bucket,
    region,
    endpoint: endpoint === "" ? null : endpoint,
    usesPathStyle: config.path_style ?? endpoint !== "",
    credentials: secretAccessKey === undefined ? null : { accessKeyId, secretAccessKey },
    encryption:
      config.encryption === ""
        ? null
        : { algorithm: config.encryption, kmsKeyId: config.kms_key_id === "" ? null : config.kms_key_id },
    lock:
      config.object_lock === ""
        ? null
        : { mode: config.object_lock === "governance" ? "GOVERNANCE" : "COMPLIANCE", days: config.retention_days },
  };
}

// --- internal ---

function requireUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.pathname === "/" && url.search === "") return;
  throw invalid("endpoint", "is not the address of a store; write it like https://s3.example.com");
}

function invalid(key: string, why: string): MezError {
  return new MezError("CONFIG_INVALID", `plugins.s3.config.${key} ${why}`);
}
