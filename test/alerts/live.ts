// Every series that there is: what the real Prometheus holds after it has scraped a page of Switchgear
// on which everything exists at once, a real Alertmanager and itself, and has evaluated our rules. So
// the labels of a scrape, recorded series and the programs' own come from where they really come from.
//
// The Alertmanager is given no secret, so it can notify nobody.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { stringify } from "yaml";
import { ready, startProcess, until } from "../pager/processes.ts";
import { freePorts } from "../support/programs.ts";
import { toolPath } from "../tools/build.ts";
import { ALERTMANAGER_FILE } from "./routing.ts";
import { ROOT, RULE_FILES } from "./rule-files.ts";

/** One series: its labels, `__name__` among them. */
export type Labels = Readonly<Record<string, string>>;

export interface Alertmanager {
  readonly url: string;
  readonly output: () => string;
  /** At once, and what it has stored with it. */
  readonly kill: () => Promise<void>;
}

/** The real program with this configuration, ready to answer. */
export async function startAlertmanager(
  config: string,
  msMax: number,
  ...options: readonly string[]
): Promise<Alertmanager> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-alertmanager-"));
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const running = startProcess(
    "alertmanager",
    [
      toolPath("alertmanager"),
      `--config.file=${config}`,
      `--storage.path=${folder}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--cluster.listen-address=",
      ...options,
    ],
    { cwd: folder, env: { HOME: folder }, msMax },
  );
  const kill = async (): Promise<void> => {
    await running.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await ready(running, `${url}/-/ready`);
  } catch (error) {
    await kill();
    throw error;
  }
  return { url, output: () => running.output(), kill };
}

const RECOVERED_PATH = "/recovered";

/** The first scrapes take a second or two; this is for a machine that others load, too. */
const SCRAPED_MS_MAX = 40_000;

export async function seriesOfPrometheus(
  page: string,
  wanted: readonly string[],
): Promise<Labels[]> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-live-"));
  const [prometheusPort = 0] = await freePorts(1);
  // What was recovered and what was kept exclude each other, and a store that fails and one that works: of that there is
  // a second place.
  const recovered = page
    .replace(/^(circuit_breaker_store_recovered) 0$/m, "$1 1")
    .replace(/^(switchgear_store_up) 0$/m, "$1 1");
  const server = createServer(({ url }, response) => {
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
    response.end(url === RECOVERED_PATH ? recovered : page);
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  const config = join(folder, "prometheus.yml");
  const pagePort = (server.address() as AddressInfo).port;
  mkdirSync(join(folder, "data"));

  const msMax = 2 * SCRAPED_MS_MAX;
  const alertmanager = await startAlertmanager(join(ROOT, ALERTMANAGER_FILE), msMax);
  const alertmanagerPort = Number(new URL(alertmanager.url).port);
  writeFileSync(config, configuration(pagePort, prometheusPort, alertmanagerPort));
  const prometheus = startProcess(
    "prometheus",
    [
      toolPath("prometheus"),
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${prometheusPort}`,
    ],
    { cwd: folder, env: { HOME: folder }, msMax },
  );
  const url = `http://127.0.0.1:${prometheusPort}`;
  try {
    await ready(prometheus, `${url}/-/ready`);
    let missing: string[] = [];
    return await until(
      "every series is there",
      async () => {
        const all = await seriesAt(url);
        const names = new Set(all.map(({ __name__ }) => __name__));
        missing = wanted.filter((name) => !names.has(name));
        return missing.length === 0 ? all : undefined;
      },
      SCRAPED_MS_MAX,
      () => `${missing.join()} missing\n${prometheus.output()}`,
    );
  } finally {
    await Promise.all([prometheus.kill(), alertmanager.kill()]);
    await new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    });
    rmSync(folder, { recursive: true, force: true });
  }
}

function configuration(page: number, prometheus: number, alertmanager: number): string {
  const place = (port: number, namespace: string, more: Labels = {}): object => ({
    targets: [`127.0.0.1:${port}`],
    labels: { cluster: "east", namespace, ...more },
  });
  const at = (port: number): object => ({ static_configs: [place(port, "bets")] });
  const recovered = place(page, "recovered", { __metrics_path__: RECOVERED_PATH });
  return stringify({
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: RULE_FILES.map((file) => join(ROOT, file)),
    alerting: { alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${alertmanager}`] }] }] },
    scrape_configs: [
      { job_name: "switchgear", static_configs: [place(page, "bets"), recovered] },
      { job_name: "alertmanager", ...at(alertmanager) },
      { job_name: "prometheus", ...at(prometheus) },
    ],
  });
}

async function seriesAt(url: string): Promise<Labels[]> {
  const answer = await fetch(
    `${url}/api/v1/series?match[]=${encodeURIComponent('{__name__=~".+"}')}`,
  );
  return ((await answer.json()) as { data: Labels[] }).data;
}
