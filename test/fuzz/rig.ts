// Both gateways, each a process of its own, each with scripted upstreams of its own: shows them the same
// exchange and answers what was seen on either side. Exchanges in one lane come one after another; lanes
// are independent.

import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT, runtimePath, type Runtime } from "../bench/support/runtimes.ts";
import { converse, warm, type ClientView } from "./client.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewaySettings, LaneReport } from "./protocol.ts";
import { ScriptedUpstream, type SeenRequest } from "./upstream.ts";

export const DEADLINE_MS = 1_000;
export const BODY_BYTES_MAX = 300_000;

/** All that was seen of one exchange through one gateway. */
export interface Observation {
  readonly client: ClientView;
  readonly seen: readonly SeenRequest[];
  /** Whether the rig's next call came over a connection that the exchange had used. */
  readonly isReused: boolean;
  readonly report: LaneReport;
}

export interface Pair {
  readonly node: Observation;
  readonly bun: Observation;
}

/** One gateway and its upstreams. */
class Side {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #upstreams: ReadonlyMap<string, ScriptedUpstream>;
  readonly #waiting = new Map<string, (report: LaneReport) => void>();
  #port = 0;
  #complaints = "";

  private constructor(
    child: ChildProcessWithoutNullStreams,
    upstreams: ReadonlyMap<string, ScriptedUpstream>,
  ) {
    this.#child = child;
    this.#upstreams = upstreams;
  }

  static async start(runtime: Runtime, lanes: readonly string[], plant?: string): Promise<Side> {
    const upstreams = new Map<string, ScriptedUpstream>();
    for (const lane of lanes) {
      const upstream = new ScriptedUpstream();
      await upstream.start();
      upstreams.set(lane, upstream);
    }
    const settings: GatewaySettings = {
      upstreams: Object.fromEntries(
        [...upstreams].map(([lane, { port }]) => [lane, `http://127.0.0.1:${port}`]),
      ),
      deadlineMs: DEADLINE_MS,
      maxBodyBytes: BODY_BYTES_MAX,
      plant,
    };
    const program = join(import.meta.dirname, "gateway.ts");
    const child = spawn(runtimePath(runtime), [program, JSON.stringify(settings)], {
      cwd: ROOT,
      env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: "65000" },
    });
    const side = new Side(child, upstreams);
    await side.#listen();
    return side;
  }

  async #listen(): Promise<void> {
    this.#child.stderr.on("data", (text: Buffer) => (this.#complaints += text.toString()));
    const lines = createInterface({ input: this.#child.stdout });
    const first = Promise.withResolvers<void>();
    lines.on("line", (line) => {
      const told: LaneReport & { readonly port?: number } = JSON.parse(line);
      if (told.port !== undefined) {
        this.#port = told.port;
        first.resolve();
      } else this.#waiting.get(told.lane)?.(told);
    });
    this.#child.once("exit", () => first.reject(new Error(`no gateway: ${this.#complaints}`)));
    await first.promise;
  }

  async show(lane: string, exchange: Exchange): Promise<Observation> {
    const upstream = this.#upstreams.get(lane);
    if (upstream === undefined) throw new RangeError(`no lane ${lane}`);
    upstream.begin(exchange.answers);
    if (exchange.isWarm) await warm(this.#port, lane);
    const client = await converse(this.#port, lane, exchange);
    const seen = [...upstream.seen];
    const { probedOn } = upstream;
    const used = new Set(seen.map(({ connection }) => connection));
    const isReused = probedOn !== undefined && used.has(probedOn);
    const report = await this.#ask(lane);
    await upstream.letGo();
    return { client, seen, isReused, report };
  }

  #ask(lane: string): Promise<LaneReport> {
    if (this.#child.exitCode !== null) throw new Error(`the gateway ended: ${this.#complaints}`);
    const { promise, resolve } = Promise.withResolvers<LaneReport>();
    this.#waiting.set(lane, resolve);
    this.#child.stdin.write(`${lane}\n`);
    return promise;
  }

  async stop(): Promise<void> {
    for (const upstream of this.#upstreams.values()) upstream.close();
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}

export class Rig {
  readonly lanes: readonly string[];
  readonly #node: Side;
  readonly #bun: Side;

  private constructor(lanes: readonly string[], node: Side, bun: Side) {
    this.lanes = lanes;
    this.#node = node;
    this.#bun = bun;
  }

  /** `plant` puts a fault into the gateway on Bun. */
  static async start(laneCount: number, plant?: string): Promise<Rig> {
    const lanes = Array.from({ length: laneCount }, (_, at) => `u${String(at).padStart(3, "0")}`);
    const [node, bun] = await Promise.all([
      Side.start("node", lanes),
      Side.start("bun", lanes, plant),
    ]);
    return new Rig(lanes, node, bun);
  }

  async show(lane: string, exchange: Exchange): Promise<Pair> {
    const [node, bun] = await Promise.all([
      this.#node.show(lane, exchange),
      this.#bun.show(lane, exchange),
    ]);
    return { node, bun };
  }

  async stop(): Promise<void> {
    await Promise.all([this.#node.stop(), this.#bun.stop()]);
  }
}
