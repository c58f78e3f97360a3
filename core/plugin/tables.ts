/**
 * What authors of plugins import as `mezite/plugin/tables` to declare tables and migrations: the MikroORM of the host. A copy of
 * their own would not know the host's tables, and the host not theirs.
 */
export { defineEntity, type EntityManager, p } from "@mikro-orm/core";
export { Migration } from "@mikro-orm/migrations";
