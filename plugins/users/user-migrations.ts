import type { Migrations } from "../../core/plugin/database.js";
import { CreateUsers } from "./migrations/001-users.js";
import { AddConnector } from "./migrations/002-connector.js";

/** The history of the tables of users. */
export const USER_MIGRATIONS: Migrations = [
  { name: "001-users", class: CreateUsers },
  { name: "002-connector", class: AddConnector },
];
