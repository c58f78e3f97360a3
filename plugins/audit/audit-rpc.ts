import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import type { Clock } from "../../core/time/clock.js";
import { AuditServiceService, type AuditEvent as WireEvent } from "../../proto/gen/mezite/audit/v1/audit.js";
import type { ArchiveService } from "./archive-service.js";
import { listRows, readEnds } from "./audit-repository.js";
import type { AuditRow } from "./audit-row.js";
import { ChainVerifier } from "./chain-verifier.js";
import type { Forwarding } from "./forwarding.js";
import { formatPageToken, parsePageToken } from "./page-token.js";
import { ReportIntake } from "./report-intake.js";
import { parseReport } from "./reported-events.js";
import { unknownTypeNotice } from "./unknown-type.js";

export const AUDIT_RPC: RpcService<typeof AuditServiceService> = {
  name: "mezite.audit.v1.AuditService",
  definition: AuditServiceService,
  permissions: {
    listEvents: "audit:list",
    verify: "audit:read",
    archive: "audit-archive:create",
    getStatus: "audit:read",
    reportEvents: "audit:create",
  },
  background: ["reportEvents"],
};

export interface AuditRpcParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly archive: ArchiveService;
  readonly forwarding: Pick<Forwarding, "states">;
  /** Types of events that something here may write. */
  readonly eventTypes: () => readonly string[];
}

/** Answers the calls that read, verify and archive the audit log, and takes events that others report. */
export function auditHandlers(parts: AuditRpcParts): Handlers {
  const intake = new ReportIntake(parts.database);
  return {
    ...readingHandlers(parts),
    ...archiveHandlers(parts),
    async reportEvents(request, call) {
      const records = parseReport(request.events, call.caller, parts.clock.now());
      await intake.store(records, call.signal);
      return {};
    },
  };
}

// --- internal ---

type Handlers = RpcHandlers<typeof AuditServiceService>;

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1000;

function readingHandlers({
  database,
  archive,
  forwarding,
  eventTypes,
}: AuditRpcParts): Pick<Handlers, "listEvents" | "getStatus"> {
  return {
    async listEvents(request) {
      if (request.pageSize < 0 || request.pageSize > MAX_PAGE_SIZE) {
        throw new MezError("INVALID_ARGUMENT", `page size ${request.pageSize} is not possible; use 1 to ${MAX_PAGE_SIZE}`);
      }
      const pageSize = request.pageSize || DEFAULT_PAGE_SIZE;
      const filter = {
        eventType: request.eventType,
        userName: request.userName,
        since: request.since,
        until: request.until,
        before: request.pageToken === "" ? undefined : parsePageToken(request.pageToken),
      };
      const rows = await database.read((em) => listRows(em, filter, pageSize + 1));
      const page = rows.slice(0, pageSize);
      const last = page.at(-1);
      return {
        events: page.map(toWire),
        nextPageToken: rows.length > pageSize && last !== undefined ? formatPageToken(last) : "",
        notice: rows.length > 0 || request.eventType === "" ? "" : unknownTypeNotice(request.eventType, eventTypes()),
      };
    },
    async getStatus() {
      const ends = await database.read(readEnds);
      if (ends === null) throw new MezError("AUDIT_CHAIN_BROKEN", "the record of the last event is missing");
      const state = await archive.state();
      return {
        ...{ lastSeq: ends.head.seq, lastHash: ends.head.hash, firstKept: ends.base.seq + 1 },
        archiveDestination: state?.destination ?? "",
        archivedSeq: state?.last?.lastSeq ?? 0,
        forwarders: forwarding.states().map(({ name, seq, missed, failure }) => ({
          ...{ name, takenSeq: seq, missed, waiting: Math.max(0, ends.head.seq - seq) },
          error: failure?.message ?? "",
          failingSince: failure?.since,
        })),
      };
    },
  };
}

function archiveHandlers({ database, archive }: AuditRpcParts): Pick<Handlers, "verify" | "archive"> {
  const verifier = new ChainVerifier(database);
  return {
    async *verify(request, call) {
      if (request.archive) archive.store();
      const verification = verifier.verify(request.archive ? () => archive.read() : undefined);
      while (!call.signal.aborted) {
        const step = await verification.next();
        if (!step.done) {
          yield { checked: step.value };
          continue;
        }
        const verdict = step.value;
        const result = verdict.intact
          ? { intact: true, firstBad: 0, reason: "", unchecked: verdict.unchecked }
          : { intact: false, firstBad: verdict.firstBad, reason: verdict.reason, unchecked: 0 };
        yield { checked: verdict.checked, result };
        return;
      }
    },

    async *archive(_request, { caller, signal }) {
      const userName = caller.kind === "user" ? caller.name : "";
      let [archived, files] = [0, 0];
      for await (const { firstSeq, lastSeq } of archive.run(userName)) {
        archived += lastSeq - firstSeq + 1;
        files += 1;
        yield { archived, files };
        if (signal.aborted) return;
      }
      const removed = await archive.prune(userName);
      const state = await archive.state();
      yield {
        archived,
        files,
        result: {
          destination: state?.destination ?? "",
          lastSeq: state?.last?.lastSeq ?? 0,
          lastHash: state?.last?.lastHash ?? "",
          removed,
        },
      };
    },
  };
}

function toWire(row: AuditRow): WireEvent {
  const { seq: _seq, hash: _hash, userRoles, resourceLabels, metadata, ...same } = row;
  return { ...same, userRoles: JSON.parse(userRoles), resourceLabels: JSON.parse(resourceLabels), metadataJson: metadata };
}
