/** What this plugin uses of the client of `pg` 8, which brings no types. */
export interface PgClient {
  /** Of the server's process, as it was told when the connection began; a pooler tells its own. */
  readonly processID: number;
  /** Absent before the connection is begun. */
  readonly connection?: { readonly stream: NodeJS.EventEmitter & PgStream };
  connect(): Promise<unknown>;
  query(sql: string, ...more: readonly unknown[]): Promise<{ readonly rows: readonly Readonly<Record<string, unknown>>[] }>;
  end(): Promise<void>;
  on(event: "error" | "end" | "notification", listener: (value: unknown) => void): unknown;
}

export interface PgStream {
  setTimeout(milliseconds: number, listener: () => void): unknown;
  destroy(error?: Error): unknown;
  /** Keeps what is written until `uncork`. */
  cork(): void;
  uncork(): void;
}

export type PgClientClass = new (options: PgOptions) => PgClient;

/** What `pg` takes for each connection. */
export type PgOptions = Readonly<Record<string, unknown>>;

export interface PgPool {
  /** The class of new connections. */
  Client: PgClientClass;
  readonly options: PgOptions;
}
