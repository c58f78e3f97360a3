import assert from "node:assert/strict";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { MEZCTL_FLAGS } from "../core/cli/global-flags.js";
import { runProgram } from "../core/cli/program.js";
import { type CommandContext, command } from "../core/plugin/commands.js";
import { AuthenticationServiceService } from "../proto/gen/mezite/authentication/v1/authentication.js";
import { type MshTestBed, mshTestBed } from "../test/integration/msh-test-bed.js";
import { connectAsAdministrator } from "./administrator-connection.js";

test("uses the session of msh at the address where it was opened", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  assert.deepEqual(await whoami(bed, [`--auth-server=${bed.address}`]), [0, ""]);
});

test("keeps the session of msh from another address", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const other = await mshTestBed(t);
  const [code] = await whoami(bed, [`--auth-server=${other.address}`, "--insecure"]);
  assert.equal(code, 3);
});

test("prefers the token that is given", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const [code] = await whoami(bed, [`--auth-server=${bed.address}`, "--token=nonsense"]);
  assert.equal(code, 3);
});

test("sends no session that has expired", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const [code] = await whoami(bed, [`--auth-server=${bed.address}`], new Date(Date.now() + 7_200_000));
  assert.equal(code, 3);
});

// --- internal ---

async function loggedIn(bed: MshTestBed): Promise<MshTestBed> {
  const { code, stderr } = await bed.run(["login", "--user=alice", "--password-stdin", `--auth-server=${bed.address}`], {
    stdin: "right\n",
  });
  assert.equal(code, 0, stderr);
  return bed;
}

/** Runs a command that asks the server who is calling. */
async function whoami(
  bed: MshTestBed,
  flags: readonly string[],
  now = new Date(),
): Promise<readonly [code: number, stderr: string]> {
  let stderr = "";
  const ask = command({
    name: "whoami",
    summary: "Who am I",
    async run(context: CommandContext) {
      const client = await context.rpc(AuthenticationServiceService);
      assert.equal((await client.getSession({})).userName, "alice");
    },
  });
  const code = await runProgram(
    {
      binary: "mezctl",
      version: "1",
      summary: "Administer",
      globals: MEZCTL_FLAGS,
      commands: [{ ...ask, load: async () => ({ mezctl: [ask] }) }],
      connect: connectAsAdministrator,
    },
    {
      args: ["whoami", ...flags],
      env: { MEZITE_DATA_DIR: join(bed.home, "data") },
      stdin: Readable.from([]),
      stdout: new PassThrough().resume(),
      stderr: new PassThrough().on("data", (chunk: Buffer) => {
        stderr += chunk.toString();
      }),
      homeDirectory: bed.home,
      now: () => now,
      onStop: () => () => undefined,
    },
  );
  return [code, stderr];
}
