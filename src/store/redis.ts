// Redis or Valkey as the store of a fleet: what one replica orders reaches all others by a push, and what was missed
// is read. Scripts decide at the store, in one step, whose order counts and which version it has. Needs Redis 6.2
// or newer, alone, with Sentinels or as a Cluster; runs on Node and Bun.
//
// Nothing waits for it: what is sent while it is away is refused at once, and whoever sent it sends it again.

import { StoreError } from "../core/errors.ts";
import { replicaOf, type FleetRow } from "../core/fleet/row.ts";
import { show } from "../core/options.ts";
import {
  BEHIND,
  type ChainedAudit,
  type ChainReport,
  type FleetAnswer,
  type FleetChange,
  type FleetListener,
  type FleetStore,
  type ReplicaView,
} from "../pipeline/fleet-port.ts";
import type { HistoryQuery } from "../pipeline/ports.ts";
import { boundAudit, checkHistoryQuery } from "./audit.ts";
import { Arrivals } from "./redis/arrivals.ts";
import {
  auditArguments,
  ChainWalk,
  compareIds,
  streamRows,
  type StreamRow,
} from "./redis/audits.ts";
import { BATCH, Connections } from "./redis/connections.ts";
import { redisError } from "./redis/errors.ts";
import { isPlainId, numberOf, parsed, restoreArguments, rowOfFields } from "./redis/fields.ts";
import { Keys } from "./redis/keys.ts";
import type { RedisStoreOptions } from "./redis/options.ts";
import { settingsOf, type Settings } from "./redis/settings.ts";
import { COMMIT, PRESENT, RESTORE, TURN, type Script } from "./redis/scripts.ts";
import { viewsOf } from "./redis/views.ts";

export type { RedisStoreOptions, RedisTls, Secret } from "./redis/options.ts";

/** Changes that are known as sent before, of each upstream: each replica has one under way at a time. */
const SEEN_MAX = 1000;

/** Rows of a stream read at once. */
const PAGE = 500;

/** Replicas unheard of for longer are forgotten. */
const REPLICA_MS_MAX = 3_600_000;
const REPLICAS_SECONDS = 86_400;

const TOUCH_MS = 3_600_000;

/** Of a push: a name of a megabyte, every unit of it escaped, and the longest texts are less. */
const MESSAGE_LENGTH_MAX = 8_000_000;

/**
 * A store that many processes share. Connects when it is handed to `createSwitchgear`. Throws
 * `InvalidOptionsError` with every fault listed.
 *
 * Its user needs `~PREFIX:* &PREFIX:*` and `+evalsha +eval +type +set +hset +hmget +hget +hgetall +hdel +zadd +zscore
 * +zrevrange +zremrangebyrank +zremrangebyscore +zrem +zcard +xadd +xrange +xrevrange +expire +pexpire +get +incr +del +time +publish +subscribe +ping`;
 * `+role` with Sentinels, `+cluster|slots +asking` in a Cluster, `+select` where the url names a database.
 * @example
 * const gear = createSwitchgear({ store: redisStore({ url: "redis://redis:6379" }) });
 */
export function redisStore(options: RedisStoreOptions): FleetStore {
  return new RedisStore(settingsOf(options));
}

class RedisStore implements FleetStore {
  readonly kind = "redis";
  readonly location: string;
  readonly replica: string;
  readonly #settings: Settings;
  readonly #keys: Keys;
  readonly #connections: Connections;
  readonly #arrivals = new Arrivals();
  /** Those that this replica guards, as far as the store was asked about them. */
  readonly #guarded = new Set<string>();
  #listener: FleetListener | undefined = undefined;
  #touchedMs = performance.now();

  constructor(settings: Settings) {
    this.#settings = settings;
    this.location = settings.location;
    this.replica = settings.replica;
    this.#keys = new Keys(settings.prefix);
    const { changes } = this.#keys;
    this.#connections = new Connections(settings, {
      channels: [changes, this.#keys.receiptsOf(this.replica)],
      heard: (message, channel) => {
        if (channel === changes) this.#arrived(message);
        else this.#received(message);
      },
      connecting: () => this.#arrivals.begin(),
      connected: () => this.#listener?.connected(),
      failed: (error) => this.#listener?.failed(error),
    });
  }

  open(listener: FleetListener): void {
    if (this.#listener !== undefined || this.#connections.isClosing) return;
    this.#listener = listener;
    this.#connections.open();
  }

  async commit(change: FleetChange): Promise<FleetAnswer> {
    const { upstream, id, seen, breaker, mode, audits, wantsReceipts } = change;
    if (!isPlainId(id)) {
      throw redisError(
        "REDIS_CHANGE",
        this.#connections.subject,
        "commit",
        "its id is not plain ASCII",
      );
    }
    this.#guarded.add(upstream);
    const { row, audit, seen: seenKey, reports } = this.#keys.of(upstream);
    const who = breaker?.isByPerson === true ? "p" : "a";
    const answer = await this.#runCounted(
      COMMIT,
      breaker !== undefined && breaker.reporters > 1
        ? [row, audit, seenKey, reports]
        : [row, audit, seenKey],
      [
        id,
        JSON.stringify(upstream),
        wantsReceipts ? "1" : "0",
        this.#keys.changes,
        String(this.#settings.retentionSeconds),
        String(this.#settings.auditMax),
        String(SEEN_MAX),
        this.replica,
        String(seen.person),
        String(seen.order),
        String(seen.mode),
        breaker === undefined ? "" : `${who}${breaker.isTrip ? "1" : "0"}`,
        breaker === undefined ? "" : JSON.stringify(breaker.snapshot),
        mode?.mode ?? "",
        mode === undefined ? "" : JSON.stringify(mode.at),
        String(breaker?.reporters ?? 1),
        ...auditArguments(audits.map(boundAudit), this.replica),
      ],
    );
    const [isInForce, isPushed, ...fields] = listOf(answer);
    if (isInForce === "behind") {
      const what = `what ${this.replica} has seen of ${show(upstream)} is not stored there`;
      throw new StoreError(BEHIND, `commit to ${this.location}: ${what}`);
    }
    if (isPushed === "1") this.#countApart();
    const found = rowOfFields(fields, upstream, Date.now());
    return {
      isInForce: isInForce === "1",
      row: found ?? { upstream, breaker: undefined, mode: undefined },
    };
  }

  async read(upstreams: readonly string[]): Promise<readonly (FleetRow | undefined)[]> {
    for (const upstream of upstreams) this.#guarded.add(upstream);
    const wallMs = Date.now();
    return inBatches(upstreams, async (upstream) => {
      const { row } = this.#keys.of(upstream);
      const flat = await this.#send(row, ["HGETALL", row]).catch(emptyWhenForeign);
      const found = rowOfFields(listOf(flat), upstream, wallMs);
      const isSomething = found?.breaker !== undefined || found?.mode !== undefined;
      return isSomething ? found : undefined;
    });
  }

  async restore(rows: readonly FleetRow[]): Promise<void> {
    const { changes } = this.#keys;
    const ttl = String(this.#settings.retentionSeconds);
    await inBatches(rows.filter(hasPlainIds), async (known) => {
      this.#guarded.add(known.upstream);
      const { row } = this.#keys.of(known.upstream);
      const args = [JSON.stringify(known.upstream), changes, ttl, ...restoreArguments(known)];
      const isPushed = await this.#runCounted(RESTORE, [row], args);
      if (isPushed === "1") this.#countApart();
    });
  }

  async turn(
    upstream: string,
    { inMs, spacingMs, windowMs }: Parameters<FleetStore["turn"]>[1],
  ): Promise<number> {
    const whole = [inMs, spacingMs, windowMs].map((ms) => String(Math.max(0, Math.round(ms))));
    return numberOf(await this.#connections.run(TURN, [this.#keys.of(upstream).turn], whole));
  }

  confirm(change: string, by: string): void {
    const channel = this.#keys.receiptsOf(replicaOf(change));
    this.#send(undefined, ["PUBLISH", channel, JSON.stringify([change, by])]).catch(ignore);
  }

  async present(view: ReplicaView["breakers"]): Promise<readonly ReplicaView[]> {
    const { replicas, count } = this.#keys;
    const args = [
      this.replica,
      JSON.stringify(view),
      String(REPLICA_MS_MAX),
      String(REPLICAS_SECONDS),
    ];
    const [counted, ...flat] = listOf(await this.#runCounted(PRESENT, [replicas], args));
    const sent = this.#connections.isCluster ? await this.#send(count, ["GET", count]) : counted;
    this.#compare(numberOf(sent));
    this.#touch();
    return viewsOf(flat);
  }

  async history(
    upstreams: readonly string[],
    query: HistoryQuery,
  ): Promise<readonly ChainedAudit[]> {
    checkHistoryQuery(query);
    const limit = String(query.limit);
    let newest: StreamRow[] = [];
    for (let from = 0; from < upstreams.length; from += BATCH) {
      // Those that are older than all that is answered anyway are not read.
      const oldest = newest.length < query.limit ? "-" : (newest.at(-1)?.id ?? "-");
      const found = await inBatches(upstreams.slice(from, from + BATCH), async (upstream) => {
        const { audit } = this.#keys.of(upstream);
        const args = ["XREVRANGE", audit, "+", oldest, "COUNT", limit];
        const rows = streamRows(await this.#send(audit, args).catch(emptyWhenForeign));
        return rows.filter((row) => row.audit?.upstream === upstream);
      });
      newest = [...newest, ...found.flat()]
        .toSorted((a, b) => compareIds(a.id, b.id))
        .slice(0, query.limit);
    }
    return newest.flatMap(({ audit }) => audit ?? []);
  }

  async verify(upstream: string): Promise<ChainReport> {
    const { row, audit } = this.#keys.of(upstream);
    const end = await this.#send(row, ["HGET", row, "h"]);
    const walk = new ChainWalk(upstream, typeof end === "string" ? end : "");
    let from = "-";
    for (;;) {
      const args = ["XRANGE", audit, from, "+", "COUNT", String(PAGE)];
      const rows = streamRows(await this.#send(audit, args));
      for (const found of rows) walk.take(found);
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) return walk.report();
      from = `(${last.id}`;
    }
  }

  async close(): Promise<void> {
    if (this.#connections.isClosing) return;
    const { replicas } = this.#keys;
    await this.#connections.close(() => {
      if (this.#listener === undefined) return;
      // Nobody is to wait for its receipts any more.
      this.#send(replicas, ["HDEL", replicas, this.replica]).catch(ignore);
    });
  }

  #arrived(message: string): void {
    this.#arrivals.arrived();
    const given = message.length <= MESSAGE_LENGTH_MAX ? parsed(message) : undefined;
    if (!Array.isArray(given)) return;
    const [receipt, ...fields] = given as unknown[];
    const row = rowOfFields(fields, undefined, Date.now());
    if (row === undefined) return;
    this.#listener?.changed(
      row,
      typeof receipt === "string" && receipt !== "" ? receipt : undefined,
    );
  }

  #received(message: string): void {
    const given = parsed(message);
    if (!Array.isArray(given)) return;
    const [id, replica] = given as unknown[];
    if (typeof id === "string" && typeof replica === "string") {
      this.#listener?.received(id, replica);
    }
  }

  /** After what was sent before it on the connection of the pushes came back, all that was due has arrived. */
  #compare(count: number): void {
    this.#connections.flushed().then((isFlushed) => {
      if (!isFlushed) return;
      if (this.#arrivals.counted(count, !this.#connections.isCluster)) this.#listener?.missed();
    }, ignore);
  }

  #touch(): void {
    const nowMs = performance.now();
    if (nowMs - this.#touchedMs < TOUCH_MS) return;
    this.#touchedMs = nowMs;
    const ttl = String(this.#settings.retentionSeconds);
    const { count } = this.#keys;
    this.#send(count, ["EXPIRE", count, ttl]).catch(ignore);
    void inBatches([...this.#guarded], async (upstream) => {
      const { row, audit, seen } = this.#keys.of(upstream);
      await Promise.all([row, audit, seen].map((key) => this.#send(key, ["EXPIRE", key, ttl])));
    }).catch(ignore);
  }

  /** With the count where it can be in the same step. */
  #runCounted(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const { isCluster } = this.#connections;
    return this.#connections.run(script, isCluster ? keys : [...keys, this.#keys.count], args);
  }

  /** Of a Cluster, where it is in another slot. */
  #countApart(): void {
    const { count } = this.#keys;
    if (this.#connections.isCluster) this.#send(count, ["INCR", count]).catch(ignore);
  }

  #send(key: string | undefined, args: readonly string[]): Promise<unknown> {
    return this.#connections.send(key, args);
  }
}

async function inBatches<Item, Found>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Found>,
): Promise<Found[]> {
  const found: Found[] = [];
  for (let from = 0; from < items.length; from += BATCH) {
    found.push(...(await Promise.all(items.slice(from, from + BATCH).map(ask))));
  }
  return found;
}

function listOf(answer: unknown): readonly unknown[] {
  return Array.isArray(answer) ? (answer as unknown[]) : [];
}

/** Somebody else's key is no row, and costs the others nothing. */
function emptyWhenForeign(error: unknown): unknown {
  if (error instanceof StoreError && error.storeCode === "REDIS_WRONGTYPE") return [];
  throw error;
}

/** Ids of another kind were made by nobody who shares this store. */
function hasPlainIds({ breaker, mode }: FleetRow): boolean {
  return [breaker?.person, breaker?.order, mode?.order].every(
    (order) => order === undefined || isPlainId(order.id),
  );
}

function ignore(): void {
  // May be lost; what matters is asked again.
}
