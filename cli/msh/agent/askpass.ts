import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { MezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Asks the person by the program that `SSH_ASKPASS` names, as ssh and ssh-agent do.
 * @see ssh(1), SSH_ASKPASS
 */
export class Askpass {
  constructor(
    private readonly env: Environment,
    private readonly signal: AbortSignal,
  ) {}

  /** Whether there is a program to ask with. */
  get isThere(): boolean {
    return (this.env["SSH_ASKPASS"] ?? "") !== "" && this.env["SSH_ASKPASS_REQUIRE"] !== "never";
  }

  /** @throws {MezError} `CANCELLED` when the person gives up. */
  async secret(question: string): Promise<Secret> {
    const answer = await this.#run(question, {});
    if (answer === null) throw new MezError("CANCELLED", "nothing was entered");
    return new Secret(answer.replace(/\r?\n$/, ""));
  }

  /** `false` also when nobody can be asked. */
  async confirm(question: string): Promise<boolean> {
    const answer = await this.#run(question, { SSH_ASKPASS_PROMPT: "confirm" });
    return answer !== null && /^(yes)?$/i.test(answer.trim());
  }

  async #run(question: string, more: Environment): Promise<string | null> {
    if (!this.isThere) return null;
    try {
      const program = this.env["SSH_ASKPASS"] as string;
      const { stdout } = await promisify(execFile)(program, [question], { env: { ...this.env, ...more }, signal: this.signal });
      return stdout;
    } catch {
      return null; // it could not run, or the person said no
    }
  }
}
