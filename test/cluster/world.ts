// The cluster as the stories see it: what answers where, who fails on order, and what was paged.

import { until } from "../pager/processes.ts";
import type { Incident, Delivery } from "../pager/pagerduty.ts";
import type { Cluster, Shown } from "../tools/cluster/cluster.ts";
import type { Checks } from "./checks.ts";
import { MONITORING } from "./monitoring.ts";

export interface Answer {
  readonly status: number;
  /** Why it was Switchgear that answered; empty when it was not. */
  readonly reason: string;
  readonly body: string;
}

export interface Heard {
  readonly incidents: readonly Incident[];
  readonly deliveries: readonly Delivery[];
}

/** Everything here takes seconds; this is for a machine that others load, too. */
export const WAIT_MS = 120_000;

export class World {
  readonly cluster: Cluster;
  readonly checks: Checks;
  /** Name and tag of the gateway's image. */
  readonly image: string;
  readonly #addresses = new Map<string, string>();

  constructor(cluster: Cluster, checks: Checks, image: string) {
    this.cluster = cluster;
    this.checks = checks;
    this.image = image;
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return this.cluster.kubectl(args);
  }

  helm(...args: readonly string[]): Promise<string> {
    return this.cluster.run(["helm", ...args]);
  }

  apply(text: string): Promise<string> {
    return this.cluster.kubectl(["apply", "-f", "-"], { input: text });
  }

  /** Asks a Service from the node, as whoever stands beside the cluster's pods. `at` is `namespace/service:port`. */
  async ask(at: string, path: string, ...options: readonly string[]): Promise<Answer> {
    const { code, stdout, stderr } = await this.curl(at, path, ...options);
    if (code !== 0) throw new Error(`${at}${path} does not answer: ${stderr}`);
    const [, body = "", status = "", reason = ""] = /^([\s\S]*)\n(\d+) (.*)$/.exec(stdout) ?? [];
    return { status: Number(status), reason, body };
  }

  async curl(at: string, path: string, ...options: readonly string[]): Promise<Shown> {
    const url = `${await this.url(at)}${path}`;
    const told = "\n%{http_code} %header{x-switchgear-reason}";
    return this.cluster.show(["curl", "-sS", "--max-time", "20", "-w", told, ...options, url]);
  }

  /** Of `namespace/service:port`, or of an address that is one already. */
  async url(at: string): Promise<string> {
    const [service = "", port = ""] = at.split(":");
    if (!service.includes("/")) return `http://${at}`;
    const known = this.#addresses.get(service);
    const [namespace = "", name = ""] = service.split("/");
    const jsonpath = "jsonpath={.spec.clusterIP}";
    const address =
      known ?? (await this.kubectl("-n", namespace, "get", "service", name, "-o", jsonpath));
    this.#addresses.set(service, address);
    return `http://${address}:${port}`;
  }

  /** How a bookmaker behaves from now on; without a word it is well. */
  async tell(bookmaker: string, order?: object): Promise<void> {
    const how = order === undefined ? ["-X", "DELETE"] : ["-X", "PUT", "-d", JSON.stringify(order)];
    const { status, body } = await this.ask(`${bookmaker}:9101`, "/__control", ...how);
    if (status !== 200 && status !== 204)
      throw new Error(`${bookmaker} refuses: ${status} ${body}`);
  }

  /** How many requests a bookmaker has had. */
  async served(bookmaker: string): Promise<number> {
    const { body } = await this.ask(`${bookmaker}:9101`, "/__stats");
    return (JSON.parse(body) as { received: number }).received;
  }

  /** What Prometheus answers, as numbers by their labels. */
  async query(promql: string): Promise<{ metric: Record<string, string>; value: number }[]> {
    const path = `/api/v1/query?query=${encodeURIComponent(promql)}`;
    const { body } = await this.ask(`${MONITORING}/prometheus:9090`, path);
    const { data } = JSON.parse(body) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] };
    };
    return data.result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
  }

  /** Waits until a query answers something. */
  sees(
    promql: string,
    msMax = WAIT_MS,
  ): Promise<{ metric: Record<string, string>; value: number }[]> {
    return until(
      `Prometheus sees ${promql}`,
      async () => {
        const found = await this.query(promql).catch(() => []);
        return found.length > 0 ? found : undefined;
      },
      msMax,
    );
  }

  async heard(): Promise<Heard> {
    const { body } = await this.ask(`${MONITORING}/pagerduty:8081`, "/");
    return JSON.parse(body) as Heard;
  }

  until<Found>(
    what: string,
    look: () => Promise<Found | undefined>,
    msMax = WAIT_MS,
  ): Promise<Found> {
    let last: unknown;
    return until(
      what,
      async () => {
        try {
          return await look();
        } catch (error) {
          last = error;
          return undefined;
        }
      },
      msMax,
      () => (last instanceof Error ? last.message : ""),
    );
  }

  /** The names of the pods with these labels. */
  async pods(namespace: string, selector: string): Promise<string[]> {
    const jsonpath = 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}';
    const names = await this.kubectl(
      "-n",
      namespace,
      "get",
      "pods",
      "-l",
      selector,
      "-o",
      jsonpath,
    );
    return names.split("\n").filter((name) => name !== "");
  }
}
