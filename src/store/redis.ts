// Redis or Valkey as the store of a fleet: what one replica orders reaches all others by a push, and what was missed
// is read. Scripts decide at the store, in one step, whose order counts and which version it has. Needs Redis 6.2
// or newer, alone, with Sentinels or as a Cluster; runs on Node and Bun.
//
// Nothing waits for it: what is sent while it is away is refused at once, and whoever sent it sends it again.

import { StoreError } from "../core/errors.ts";
import type { FleetRow } from "../core/fleet/row.ts";
import type {
  ChainedAudit,
  ChainReport,
  FleetAnswer,
  FleetChange,
  FleetListener,
  FleetStore,
  ReplicaView,
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
import { ClusterLine } from "./redis/cluster.ts";
import { Dialler } from "./redis/dialler.ts";
import { redisError, toStoreError } from "./redis/errors.ts";
import { isPlainId, numberOf, parsed, restoreArguments, rowOfFields } from "./redis/fields.ts";
import { Keys } from "./redis/keys.ts";
import { Link } from "./redis/link.ts";
import { settingsOf, type RedisStoreOptions, type Settings } from "./redis/options.ts";
import { COMMIT, PRESENT, RESTORE, TURN, type Script } from "./redis/scripts.ts";
import { viewsOf } from "./redis/views.ts";
import type { Line, Wire } from "./redis/wire.ts";

export type { RedisStoreOptions, RedisTls, Secret } from "./redis/options.ts";

/** Changes that are known as sent before, of each upstream: each replica has one under way at a time. */
const SEEN_MAX = 1000;

/** Commands sent without waiting for the first one's answer. */
const BATCH = 100;

/** Rows of a stream read at once. */
const PAGE = 500;

/** Replicas unheard of for longer are forgotten. */
const REPLICA_MS_MAX = 3_600_000;
const REPLICAS_SECONDS = 86_400;

const TOUCH_MS = 3_600_000;

/** Of the half second that closing may take, what is under way has this. */
const CLOSE_MS = 400;

/** Another master is looked for at most this often because the one here takes no writes. */
const RENEW_MS = 10_000;

/** Sentinels are asked at each so manieth poll: a master cut off from them believes in itself. */
const POLLS_PER_QUESTION = 3;

/** Of a push; a row with the longest texts is a hundredth. */
const MESSAGE_LENGTH_MAX = 1_000_000;

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
  readonly #dialler: Dialler;
  readonly #commands: Link<Line>;
  readonly #pushes: Link<Wire>;
  readonly #arrivals = new Arrivals();
  /** Those that this replica guards, as far as the store was asked about them. */
  readonly #guarded = new Set<string>();
  readonly #underWay = new Set<Promise<unknown>>();
  #listener: FleetListener | undefined = undefined;
  #poll: NodeJS.Timeout | undefined = undefined;
  #polls = 0;
  #touchedMs = performance.now();
  #renewedMs = Number.NEGATIVE_INFINITY;
  #isClosing = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.location = settings.location;
    this.replica = settings.replica;
    this.#keys = new Keys(settings.prefix);
    this.#dialler = new Dialler(settings);
    const { subject } = this.#dialler;
    const ports = {
      subject,
      up: () => this.#up(),
      down: (error: StoreError) => this.#listener?.failed(error),
    };
    this.#commands = new Link<Line>({ ...ports, dial: (lost) => this.#dialCommands(lost) });
    this.#pushes = new Link<Wire>({ ...ports, dial: (lost) => this.#dialPushes(lost) });
  }

  open(listener: FleetListener): void {
    if (this.#listener !== undefined || this.#isClosing) return;
    this.#listener = listener;
    this.#commands.open();
    this.#pushes.open();
    this.#poll = setInterval(() => this.#check(), this.#settings.pollMs).unref();
  }

  async commit(change: FleetChange): Promise<FleetAnswer> {
    const { upstream, id, seen, breaker, mode, audits, wantsReceipts } = change;
    if (!isPlainId(id)) {
      throw redisError(
        "REDIS_CHANGE",
        this.#dialler.subject,
        "commit",
        "its id is not plain ASCII",
      );
    }
    this.#guarded.add(upstream);
    const { row, audit, seen: seenKey, reports } = this.#keys.of(upstream);
    const who = breaker?.isByPerson === true ? "p" : "a";
    const answer = await this.#runCounted(
      COMMIT,
      [row, audit, seenKey, reports],
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
    return this.#inBatches(upstreams, async (upstream) => {
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
    await this.#inBatches(rows.filter(hasPlainIds), async (known) => {
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
    return numberOf(await this.#run(TURN, [this.#keys.of(upstream).turn], whole));
  }

  confirm(change: string, by: string): void {
    const replica = change.slice(0, Math.max(change.indexOf("/"), 0));
    if (replica === "") return;
    const channel = this.#keys.receiptsOf(replica);
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
    const sent = this.#isCluster ? await this.#send(count, ["GET", count]) : counted;
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
      const found = await this.#inBatches(upstreams.slice(from, from + BATCH), async (upstream) => {
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
    if (this.#isClosing) return;
    this.#isClosing = true;
    clearInterval(this.#poll);
    const { replicas } = this.#keys;
    this.#commands.line?.hold();
    // Nobody is to wait for its receipts any more.
    if (this.#listener !== undefined) {
      this.#send(replicas, ["HDEL", replicas, this.replica]).catch(ignore);
    }
    await withinMs(this.#settled(), CLOSE_MS);
    this.#commands.close();
    this.#pushes.close();
  }

  /** What was under way may send more, as a script that the server did not know. */
  async #settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  get #isCluster(): boolean {
    return this.#settings.route.kind === "cluster";
  }

  async #dialCommands(lost: (error: StoreError) => void): Promise<Line> {
    const { route } = this.#settings;
    if (route.kind === "cluster") return ClusterLine.open(this.#dialler, route.nodes, lost);
    return this.#dialler.open(lost);
  }

  async #dialPushes(lost: (error: StoreError) => void): Promise<Wire> {
    const wire = await this.#dialler.open(lost);
    const { changes } = this.#keys;
    this.#arrivals.begin();
    try {
      await wire.subscribe([changes, this.#keys.receiptsOf(this.replica)], (message, channel) => {
        if (this.#isClosing) return;
        if (channel === changes) this.#arrived(message);
        else this.#received(message);
      });
      return wire;
    } catch (error) {
      wire.destroy();
      throw error;
    }
  }

  #up(): void {
    const areUp = this.#commands.line !== undefined && this.#pushes.line !== undefined;
    if (areUp) this.#listener?.connected();
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

  /** Half of a connection may be gone without either side knowing. */
  #check(): void {
    this.#polls += 1;
    const wire = this.#pushes.line;
    const isDue = wire !== undefined && performance.now() - wire.heardMs >= this.#settings.pollMs;
    // What does not answer is lost, which is told by its link.
    if (isDue) wire.send(undefined, ["PING"]).catch(ignore);
    if (this.#polls % POLLS_PER_QUESTION === 0) void this.#checkMaster();
  }

  async #checkMaster(): Promise<void> {
    try {
      const master = await this.#dialler.master();
      const wire = this.#pushes.line;
      if (master === undefined || wire === undefined) return;
      const { host, port } = wire.address;
      if (master.host !== host || master.port !== port) {
        this.#renew(redisError("REDIS_NOT_MASTER", this.#dialler.subject, "asking the Sentinels"));
      }
    } catch {
      // Sentinels that are away take nothing from a master that is there.
    }
  }

  #renew(error: StoreError): void {
    const nowMs = performance.now();
    if (nowMs - this.#renewedMs < RENEW_MS) return;
    this.#renewedMs = nowMs;
    this.#commands.renew(error);
    this.#pushes.renew(error);
  }

  /** After what was sent before it on the connection of the pushes came back, all that was due has arrived. */
  #compare(count: number): void {
    const wire = this.#pushes.line;
    wire?.send(undefined, ["PING"]).then(() => {
      if (this.#pushes.line !== wire || this.#isClosing) return;
      if (this.#arrivals.counted(count, !this.#isCluster)) this.#listener?.missed();
    }, ignore);
  }

  #touch(): void {
    const nowMs = performance.now();
    if (nowMs - this.#touchedMs < TOUCH_MS) return;
    this.#touchedMs = nowMs;
    const ttl = String(this.#settings.retentionSeconds);
    const { count } = this.#keys;
    this.#send(count, ["EXPIRE", count, ttl]).catch(ignore);
    void this.#inBatches([...this.#guarded], async (upstream) => {
      const { row, audit, seen } = this.#keys.of(upstream);
      await Promise.all([row, audit, seen].map((key) => this.#send(key, ["EXPIRE", key, ttl])));
    }).catch(ignore);
  }

  /** With the count where it can be in the same step. */
  #runCounted(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#run(script, this.#isCluster ? keys : [...keys, this.#keys.count], args);
  }

  /** Of a Cluster, where it is in another slot. */
  #countApart(): void {
    const { count } = this.#keys;
    if (this.#isCluster) this.#send(count, ["INCR", count]).catch(ignore);
  }

  async #run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.#send(keys[0], ["EVALSHA", script.sha, ...rest]);
    } catch (error) {
      if (!(error instanceof StoreError) || error.storeCode !== "REDIS_NOSCRIPT") throw error;
      return this.#send(keys[0], ["EVAL", script.text, ...rest]);
    }
  }

  #send(key: string | undefined, args: readonly string[]): Promise<unknown> {
    const { line } = this.#commands;
    if (line === undefined) return Promise.reject(this.#commands.error);
    const answer = line.send(key, args).catch((error: unknown) => {
      const failure = toStoreError(error, this.#dialler.subject, args[0] ?? "");
      // Where a name or a Sentinel leads may have changed while the connection lived on.
      if (failure.storeCode === "REDIS_READONLY") this.#renew(failure);
      throw failure;
    });
    this.#underWay.add(answer);
    const forget = (): void => void this.#underWay.delete(answer);
    answer.then(forget, forget);
    return answer;
  }

  async #inBatches<Item, Found>(
    items: readonly Item[],
    ask: (item: Item) => Promise<Found>,
  ): Promise<Found[]> {
    const found: Found[] = [];
    for (let from = 0; from < items.length; from += BATCH) {
      found.push(...(await Promise.all(items.slice(from, from + BATCH).map(ask))));
    }
    return found;
  }
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

async function withinMs(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([work, new Promise((done) => (timer = setTimeout(done, ms)))]);
  clearTimeout(timer);
}

function ignore(): void {
  // May be lost; what matters is asked again.
}
