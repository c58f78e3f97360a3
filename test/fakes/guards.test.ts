import { testGuard } from "../contracts/guard.js";
import { FakeGuards } from "./guards.js";

testGuard("fake", async () => {
  const guard = new FakeGuards();
  return {
    guard,
    subject: { user: "eve" },
    refuse: async () => guard.refuse(({ user }) => user === "eve"),
    close: async () => {},
  };
});
