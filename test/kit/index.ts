/** What authors of plugins import as `mezite/testing`: contract suites, fakes that work, and a cluster in the test's own process. */
export type { AuditEvent } from "../../core/plugin/audit.js";
export { type AuditSinkUnderTest, testAuditSink } from "../contracts/audit-sink.js";
export { type AuthenticatorUnderTest, testAuthenticator } from "../contracts/authenticator.js";
export { type GuardUnderTest, testGuard } from "../contracts/guard.js";
export { type KeyBackendUnderTest, testKeyBackend } from "../contracts/key-backend.js";
export { type RecordingStoreUnderTest, testRecordingStore } from "../contracts/recording-store.js";
export { storageDriverContract as testStorageDriver } from "../contracts/storage-driver.js";
export { FakeClock } from "../fakes/clock.js";
export { FakeGuards } from "../fakes/guards.js";
export { FakeKeyBackend, type FakeKeyBackendOptions } from "../fakes/key-backend.js";
export { FakeRecordingStore } from "../fakes/recording-store.js";
export { openTestDatabase, type TestDatabase, type TestDatabaseOptions } from "../fixtures/database.js";
export { silentLogger } from "../fixtures/silent-logger.js";
export { readPluginPackage } from "./plugin-package.js";
export type { CommandRun } from "./run-command-line.js";
export type { TestCaller } from "./test-caller.js";
export { startTestCluster, type TestCluster, type TestClusterOptions } from "./test-cluster.js";
