import type { ConnectionOptions } from "node:tls";
import type { PgClient, PgClientClass, PgOptions, PgStream } from "./pg-client.js";
import type { ServerAddress } from "./postgresql-settings.js";

/** Which of several servers is taken for the primary: the last one that was, else the next. */
export class ServerChoice {
  #index = 0;

  /** @param servers At least one. */
  constructor(private readonly servers: readonly ServerAddress[]) {}

  get current(): ServerAddress {
    return this.servers[this.#index] as ServerAddress;
  }

  /** The server cannot be reached or takes no writes: the next connection tries the one after it. */
  failed(server: ServerAddress): void {
    if (server === this.current) this.#index = (this.#index + 1) % this.servers.length;
  }
}

/** What each new connection gets. */
export interface Greeting {
  /** Run-time parameters of the session. */
  readonly settings: Readonly<Record<string, string>>;
  /** How to encrypt what goes to a host. */
  tls(host: string): false | ConnectionOptions;
  /** Watches over its socket. */
  guard(stream: PgStream): void;
}

/** A client that connects to the chosen server, and leaves it when that fails or when it is no primary. */
export function clientOf(base: PgClientClass, choice: ServerChoice, greeting: Greeting): PgClientClass {
  return class extends base {
    readonly #server: ServerAddress;
    #isHolding = false;

    constructor(options: PgOptions) {
      const server = choice.current;
      // The pool hides the password from enumeration.
      super({ ...options, password: options.password, ...server, ssl: greeting.tls(server.host) });
      this.#server = server;
      // The pool listens only once it has the connection: one that breaks during the greeting must not end the process.
      this.on("error", () => "whoever asked something on it is told");
    }

    /** Statements that are given to it in one turn leave in one piece. */
    override query(...statement: Parameters<PgClient["query"]>): ReturnType<PgClient["query"]> {
      const stream = this.connection?.stream;
      if (stream !== undefined && !this.#isHolding) {
        this.#isHolding = true;
        stream.cork();
        process.nextTick(() => {
          this.#isHolding = false;
          stream.uncork();
        });
      }
      return super.query(...statement);
    }

    override connect(done?: (error?: unknown) => void): Promise<unknown> {
      const connected = this.#connect();
      if (done === undefined) return connected;
      // The pool asks with a callback.
      return connected.then(
        () => done(),
        (error: unknown) => done(error),
      );
    }

    async #connect(): Promise<void> {
      try {
        await super.connect();
        if (this.connection !== undefined) greeting.guard(this.connection.stream);
        const { rows } = await this.query(greetingQuery(greeting.settings));
        if (rows[0]?.standby === true) throw Object.assign(new Error("the server is a standby"), { code: READ_ONLY });
      } catch (error) {
        choice.failed(this.#server);
        await this.end().catch(() => "nobody waits for it");
        throw error;
      }
    }
  };
}

// --- internal ---

const READ_ONLY = "25006"; // SQLSTATE read_only_sql_transaction

function greetingQuery(settings: Greeting["settings"]): string {
  const columns = Object.entries(settings).map(([name, value]) => `, set_config('${name}', '${value}', false)`);
  return `select pg_is_in_recovery() as standby${columns.join("")}`;
}
