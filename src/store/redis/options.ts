// What a person may choose about the store of a fleet.

/** A text, or what gives it: asked at each connection, so that a file with a new one is read. */
export type Secret = string | (() => string);

export interface RedisStoreOptions {
  /**
   * `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS. One of `url`, `sentinel` and
   * `cluster` is given.
   */
  readonly url?: string | undefined;
  /**
   * This process's name among those that share the store, of 1–100 letters, digits, `.`, `_` and `-`. No two at a
   * time may have the same. Default: the host's name with six random characters.
   */
  readonly replica?: string | undefined;
  /** What all keys and channels begin with, of 1–64 letters, digits, `.`, `_`, `-` and `:`. Default `switchgear`. */
  readonly prefix?: string | undefined;
  /** Default: that of the url, else the server's `default`. */
  readonly username?: string | undefined;
  /** Default: that of the url, else none. */
  readonly password?: Secret | undefined;
  /** PEM texts, not paths. With it, or with `rediss://`, connections are encrypted. */
  readonly tls?: RedisTls | undefined;
  /** Sentinels, which say who is the master. */
  readonly sentinel?:
    | {
        /** The master's name. */
        readonly master: string;
        /** `host:port` of each. */
        readonly nodes: readonly string[];
        /** Of the Sentinels themselves. Default: none. */
        readonly password?: Secret | undefined;
      }
    | undefined;
  /** `host:port` of some nodes of a Cluster; the others are asked for. */
  readonly cluster?: { readonly nodes: readonly string[] } | undefined;
  /** Audits kept of each upstream, 1–100 000. Default 1,000. */
  readonly auditMax?: number | undefined;
  /** Days until an upstream that no replica guards any more is forgotten, 1–3650. Default 90. */
  readonly retentionDays?: number | undefined;
  /** Until a connection is given up that does not come about, 50–60 000 ms. Default 2,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Until a command is given up, 50–60 000 ms. Default 1,000. */
  readonly commandTimeoutMs?: number | undefined;
  /** How often the connection of the pushes is asked whether it lives, 100–600 000 ms. Default 5,000. */
  readonly pollMs?: number | undefined;
}

export interface RedisTls {
  /** Certificates of those who may sign the server's. Default: the runtime's own. */
  readonly ca?: Secret | undefined;
  /** The client's certificate and key, where the server wants one. */
  readonly cert?: Secret | undefined;
  readonly key?: Secret | undefined;
  /** The name in the server's certificate. Default: the host. */
  readonly serverName?: string | undefined;
  /** False takes any certificate: for trials. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
}
