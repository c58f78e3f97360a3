import type { EntityManager } from "@mikro-orm/core";
import type { AbstractSqlConnection } from "@mikro-orm/sqlite";

/** The connection for reading, which never waits for a writer, or the one for writing. */
export function sqlConnection(em: EntityManager, type: "read" | "write"): AbstractSqlConnection {
  return em.getConnection(type) as unknown as AbstractSqlConnection;
}
