import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AuthenticatorApp } from "../fixtures/authenticator-app.js";
import { Cluster } from "../fixtures/cluster.js";
import { TypedProgram } from "../fixtures/typed-program.js";
import { needsPeers } from "../peers/require-peer.js";

describe("second factors of people at terminals, with oathtool", needsPeers("oathtool", "ssh"), () => {
  let cluster: Cluster;
  const programs: TypedProgram[] = [];
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
  });
  after(async () => {
    for (const program of programs) program.kill();
    await cluster?.stop();
  });

  function typed(binary: "msh" | "mezctl", args: readonly string[], home = cluster.home): TypedProgram {
    const program = new TypedProgram(process.execPath, [cluster.programs[binary], ...args], cluster.environment({ home }));
    programs.push(program);
    return program;
  }

  /** Adds an app at a terminal. @returns The app and the recovery codes. */
  async function addApp(home: string): Promise<{ app: AuthenticatorApp; recoveryCodes: readonly string[] }> {
    const adding = typed("msh", ["mfa", "add"], home);
    return enrolAt(adding);
  }

  async function enrolAt(program: TypedProgram): Promise<{ app: AuthenticatorApp; recoveryCodes: readonly string[] }> {
    const [, key = ""] = await program.printed(/type the key in: ([A-Z2-7 ]{39})/);
    assert.match(program.screen, /█/);
    const app = new AuthenticatorApp(key.replaceAll(" ", ""));
    await program.answer(/Code that the app shows: $/, await app.code());
    assert.equal(await program.ended(), 0, program.screen);
    // What a program prints last may come after its end.
    const [codes] = await program.printed(/(?:[a-z2-9]{4}(?:-[a-z2-9]{4}){3}\s+){10}/);
    return { app, recoveryCodes: codes.trim().split(/\s+/) };
  }

  test("msh asks for a code after the password, says what is wrong with one, and takes each once", async () => {
    const home = cluster.person("alice", ["--roles=access"]);
    const { app, recoveryCodes } = await addApp(home);
    assert.equal(recoveryCodes.length, 10);
    const login = typed("msh", ["login", "--user=alice"], home);
    await login.answer(/Password of alice.*: $/, "password of alice 1");
    await login.answer(/Code of your authenticator app: $/, "000000");
    await login.printed(/the code is wrong/);
    const code = await app.code();
    await login.answer(/Code of your authenticator app: $/, code);
    assert.equal(await login.ended(), 0, login.screen);
    const again = cluster.msh(["login", "--user=alice", "--password-stdin"], {
      home,
      input: "password of alice 1\n",
      env: { MEZITE_OTP: code },
    });
    assert.deepEqual([again.code, again.stderr], [3, "msh: this code was used already; wait for the next one\n"]);
  });

  test("a script gives a code or a recovery code, and is told how when it gives none", async () => {
    const home = cluster.person("bob", ["--roles=access"]);
    const { app, recoveryCodes } = await addApp(home);
    const login = (env: Readonly<Record<string, string>>): { code: number; stdout: string; stderr: string } =>
      cluster.mezctl(["login", "--username=bob", "--password-stdin"], { home, input: "password of bob 1\n", env });
    const without = login({});
    assert.equal(without.code, 4);
    assert.match(
      without.stderr,
      /^mezctl: a second factor is needed; use a terminal, or give a code with --otp-stdin or MEZITE_OTP\n$/,
    );
    assert.match(login({ MEZITE_OTP: await app.code() }).stdout, /^[A-Za-z0-9_-]{43}\n$/);
    const recovered = login({ MEZITE_OTP: recoveryCodes[0] as string });
    assert.match(recovered.stdout, /^[A-Za-z0-9_-]{43}\n$/);
    assert.match(recovered.stderr, /that was a recovery code; 9 are left/);
    assert.equal(login({ MEZITE_OTP: recoveryCodes[0] as string }).stderr, "mezctl: the code is wrong\n");
    const listed = JSON.parse(cluster.mezctlOk(["users", "list-mfa", "bob", "--format=json"])) as readonly {
      name: string;
      type: string;
    }[];
    assert.deepEqual(
      listed.map(({ name, type }) => [name, type]),
      [["authenticator-app", "totp"]],
    );
    const removal = typed("msh", ["mfa", "rm", "authenticator-app"], home);
    await removal.answer(/Code of your authenticator app: $/, recoveryCodes[1] as string);
    assert.equal(await removal.ended(), 0, removal.screen);
    assert.match(login({}).stdout, /^[A-Za-z0-9_-]{43}\n$/);
  });

  test("where everybody needs a factor the first login adds one, the last one stays, and a reset begins anew", async () => {
    const home = join(cluster.folder, "home-carol");
    mkdirSync(home, { mode: 0o700 });
    const { one_time_password: oneTime } = JSON.parse(
      cluster.mezctlOk(["users", "create", "carol", "--roles=access", "--format=json"]),
    ) as { one_time_password: string };
    cluster.mezctlOk(["config", "set", "second_factor", "required"]);
    try {
      const script = cluster.msh(["login", "--user=carol", "--password-stdin"], { home, input: `${oneTime}\n` });
      assert.equal(script.code, 4);
      assert.match(
        script.stderr,
        /carol has none yet\. Add one now\.\nmsh: a second factor is added on a terminal; run this on one\n$/,
      );
      const login = typed("msh", ["login", "--user=carol"], home);
      await login.answer(/Password of carol.*: $/, oneTime);
      await login.printed(/carol has none yet. Add one now/);
      const [, key = ""] = await login.printed(/type the key in: ([A-Z2-7 ]{39})/);
      const app = new AuthenticatorApp(key.replaceAll(" ", ""));
      await login.answer(/Code that the app shows: $/, await app.code());
      await login.answer(/New password: $/, "password of carol 1");
      await login.answer(/New password again: $/, "password of carol 1");
      assert.equal(await login.ended(), 0, login.screen);
      const removal = typed("msh", ["mfa", "rm", "authenticator-app"], home);
      await removal.answer(/Code of your authenticator app: $/, await app.code());
      assert.equal(await removal.ended(), 6, removal.screen);
      assert.match(removal.screen, /is your last factor, and this cluster asks everybody for one; add another first/);
      cluster.mezctlOk(["users", "reset-totp", "carol"]);
      const again = typed("msh", ["login", "--user=carol"], home);
      await again.answer(/Password of carol.*: $/, "password of carol 1");
      await enrolAt(again);
    } finally {
      cluster.mezctlOk(["config", "set", "second_factor", "optional"]);
    }
  });

  test("the audit log tells who proved what, who failed, and who was reset", () => {
    const events = JSON.parse(cluster.mezctlOk(["audit", "ls", "--limit=500", "--format=json"])) as readonly {
      event_type: string;
      metadata: Readonly<Record<string, unknown>>;
    }[];
    const types = new Set(events.map(({ event_type }) => event_type));
    for (const type of ["user.mfa.added", "user.mfa.verified", "user.mfa.failed", "user.mfa.removed", "user.mfa.reset"])
      assert.ok(types.has(type), type);
    assert.ok(
      events.some(({ event_type, metadata }) => event_type === "user.login" && metadata["second_factor"] === "recovery_code"),
    );
  });
});
