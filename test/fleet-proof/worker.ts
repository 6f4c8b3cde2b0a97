// Some replicas in one process: registries that share a Redis. Does what it is told over IPC, and tells when an
// order of another one is in force here. Times are of the clock that all processes of a machine share.

import { createSwitchgear, latching, memoryStore, type Switchgear } from "../../src/index.ts";
import { redisStore, type RedisStoreOptions } from "../../src/store/redis.ts";
import { LoadRecorder, type Load } from "./load.ts";

export interface WorkerOptions {
  /** Where the server is. */
  readonly server: Pick<RedisStoreOptions, "url" | "sentinel">;
  readonly prefix: string;
  /** Names of the replicas here. */
  readonly replicas: readonly string[];
  readonly upstreams: readonly string[];
}

export type Order =
  | {
      readonly do: "order";
      readonly replica: string;
      readonly upstream: string;
      readonly action: "trip" | "reset";
    }
  | { readonly do: "fail"; readonly upstream: string }
  | { readonly do: "state"; readonly id: number }
  /** Calls go on, or end; what was measured until now is told. */
  | { readonly do: "load"; readonly id: number; readonly isOn: boolean }
  | { readonly do: "cost"; readonly id: number; readonly rounds: number }
  | { readonly do: "end" };

export type Word =
  | { readonly say: "ready" }
  | { readonly say: "ordered"; readonly upstream: string; readonly atNs: string }
  | {
      readonly say: "in force";
      readonly replica: string;
      readonly upstream: string;
      readonly isTripped: boolean;
      readonly atNs: string;
    }
  | {
      readonly say: "state";
      readonly id: number;
      /** By replica: what it refuses, and whether its store works. */
      readonly tripped: Readonly<Record<string, readonly string[]>>;
      readonly isOk: Readonly<Record<string, boolean>>;
    }
  | { readonly say: "load"; readonly id: number; readonly load: Load }
  | {
      readonly say: "cost";
      readonly id: number;
      readonly memoryNs: readonly number[];
      readonly fleetNs: readonly number[];
    };

/** Nobody trips it. */
const CALLED = "called";

/** Calls of one block; blocks of both kinds take turns. */
const CALLS = 20_000;
const WARM_UP = 10;

/** The load: so many calls of each replica, so often. */
const LOAD_CALLS = 4;
const LOAD_MS = 10;

const options = JSON.parse(process.argv[2] ?? "{}") as WorkerOptions;
const breaker = latching({ failureThreshold: 10, cooldownMs: 0 });
const names = [...options.upstreams, CALLED];
const upstreams = Object.fromEntries(names.map((name) => [name, { breaker }]));
const gears = new Map<string, Switchgear>();
/** Made as early as the others: what is younger lies elsewhere, and was up to a tenth slower or faster. */
const memories = [0, 1].map(() => createSwitchgear({ upstreams, store: memoryStore() }));

function tell(word: Word): void {
  process.send?.(word);
}

for (const replica of options.replicas) {
  const { server, prefix } = options;
  const gear = createSwitchgear({ upstreams, store: redisStore({ ...server, prefix, replica }) });
  gears.set(replica, gear);
  gear.on("transition", ({ upstream, to }) => {
    const atNs = String(process.hrtime.bigint());
    tell({ say: "in force", replica, upstream, isTripped: to === "open", atNs });
  });
}

function state(id: number): Word {
  const tripped: Record<string, string[]> = {};
  const isOk: Record<string, boolean> = {};
  for (const [replica, gear] of gears) {
    tripped[replica] = gear.upstreams().flatMap((one) => (one.isTripped ? [one.name] : []));
    isOk[replica] = gear.storeHealth().ok;
  }
  return { say: "state", id, tripped, isOk };
}

const work = (): Promise<number> => Promise.resolve(1);

const recorder = new LoadRecorder();
let turn = 0;
let loading: NodeJS.Timeout | undefined;

/** All calls of one turn of the loop, each measured: what it does not end in has waited. */
async function loadOnce(): Promise<void> {
  for (const gear of gears.values()) {
    const upstream = gear.upstream(CALLED);
    for (let n = 0; n < LOAD_CALLS; n += 1) {
      const before = turn;
      const start = process.hrtime.bigint();
      await upstream.execute(work);
      recorder.add(Number(process.hrtime.bigint() - start), turn !== before);
    }
  }
}

function load(id: number, isOn: boolean): Word {
  clearInterval(loading);
  if (isOn) {
    loading = setInterval(() => {
      turn += 1;
      void loadOnce();
      setImmediate(() => (turn += 1));
    }, LOAD_MS);
  }
  return { say: "load", id, load: recorder.take() };
}

/** What a call costs on registries with their state in memory, and on two of the fleet's, in turns. */
async function cost(id: number, rounds: number): Promise<Word> {
  const [first, second] = [...gears.values()];
  const fleet = [first, second].filter((gear) => gear !== undefined);
  const block = async (gear: Switchgear): Promise<number> => {
    const upstream = gear.upstream(CALLED);
    const start = process.hrtime.bigint();
    for (let n = 0; n < CALLS; n += 1) await upstream.execute(work);
    return Number(process.hrtime.bigint() - start) / CALLS;
  };
  const turns = [memories[0], fleet[0], memories[1], fleet[1]].filter((gear) => gear !== undefined);
  const memoryNs: number[] = [];
  const fleetNs: number[] = [];
  for (let round = 0; round < WARM_UP + rounds; round += 1) {
    let [memory, ofFleet] = [0, 0];
    for (let index = 0; index < turns.length; index += 1) {
      const gear = turns[(index + round) % turns.length];
      if (gear === undefined) continue;
      const ns = await block(gear);
      if (gear.fleet === undefined) memory += ns / 2;
      else ofFleet += ns / 2;
    }
    // What the store sends is read in between.
    await new Promise((done) => setImmediate(done));
    if (round < WARM_UP) continue;
    memoryNs.push(memory);
    fleetNs.push(ofFleet);
  }
  return { say: "cost", id, memoryNs, fleetNs };
}

process.on("message", (order: Order) => {
  if (order.do === "order") {
    const { replica, upstream, action } = order;
    const one = gears.get(replica)?.upstream(upstream);
    const atNs = String(process.hrtime.bigint());
    if (action === "trip") one?.trip({ reason: "proof", actor: replica });
    else one?.reset({ reason: "proof", actor: replica, force: true });
    tell({ say: "ordered", upstream, atNs });
  } else if (order.do === "fail") {
    for (const gear of gears.values()) {
      const one = gear.upstream(order.upstream);
      for (let n = 0; n < 10; n += 1)
        one.execute(() => Promise.reject(new Error("down"))).catch(() => {});
    }
  } else if (order.do === "state") tell(state(order.id));
  else if (order.do === "load") tell(load(order.id, order.isOn));
  else if (order.do === "cost") void cost(order.id, order.rounds).then(tell);
  else {
    void Promise.all([...gears.values()].map((gear) => gear.close())).then(() => process.exit(0));
  }
});
process.on("disconnect", () => process.exit(0));

await Promise.all(
  [...gears.values()].map((gear) => gear.fleet?.synced(20_000) ?? Promise.resolve(false)),
);
tell({ say: "ready" });
