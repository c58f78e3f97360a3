import type { Migrations } from "../../core/plugin/database.js";
import { CreateAuditEvents } from "./migrations/001-audit-events.js";
import { AddAuditArchive } from "./migrations/002-audit-archive.js";
import { AddArchiveSchedule } from "./migrations/003-archive-schedule.js";

/** The history of the audit log's tables. */
export const AUDIT_MIGRATIONS: Migrations = [
  { name: "001-audit-events", class: CreateAuditEvents },
  { name: "002-audit-archive", class: AddAuditArchive },
  { name: "003-archive-schedule", class: AddArchiveSchedule },
];
