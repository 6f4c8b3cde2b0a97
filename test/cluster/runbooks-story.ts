// Every command of the runbooks that needs a cluster, as it stands there, in a state in which somebody would give it.

import assert from "node:assert/strict";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { pageNames, readPage, type Block } from "../runbooks/page.ts";
import { words } from "../tools/cluster/build.ts";
import { Gateway } from "./gateway.ts";
import { MONITORING } from "./monitoring.ts";
import { TRADING } from "./neighbours.ts";
import { POD, processOf } from "./trading-story.ts";
import type { World } from "./world.ts";

/** Blocks of pages by their place among the page's own, and what each shows. */
type Shows = Readonly<Record<string, RegExp>>;

/** Looks, and orders that change nothing but a number. */
const LOOKS: Shows = {
  "CircuitBreakerManyTripped 1": /^REVISION/m,
  "CircuitBreakerReplicaDisagreement 1": /switchgear-0 +1\/1 +Running/,
  "README 4": /switchgear-0 +1\/1 +Running/,
  "SwitchgearDown 2": /^REVISION +SINCE\n\d/m,
  "SwitchgearInstanceDown 1": /^Events:/m,
  "SwitchgearMetricsAbsent 1": /servicemonitor\.monitoring\.coreos\.com\/switchgear[\s\S]*"level":/,
  "SwitchgearMetricsAbsent 2": /^REVISION +SINCE\n\d/m,
  "SwitchgearPagerDeliveryFailing 1": /^32$/m,
};

const EDITS: Shows = {
  "CircuitBreakerCriticalRefused 1": /configmap\/switchgear edited/,
  "CircuitBreakerLimitAtFloor 1": /configmap\/switchgear edited/,
  "CircuitBreakerSuccessRatioLow 1": /configmap\/switchgear edited/,
};

/** After each the gateway answers again. */
const REPLACEMENTS: Shows = {
  "SwitchgearDown 4": /rolling update complete|roll out complete/,
  "CircuitBreakerLoadShedding 1": /resource requirements updated/,
  "SwitchgearDown 3": /rolling update complete|roll out complete/,
  "SwitchgearMetricsAbsent 3": /rolling update complete|roll out complete/,
  "SwitchgearRejectingWhileClosed 1": /rolling update complete|roll out complete/,
  "SwitchgearInstanceDown 2": /pod "switchgear-0" deleted/,
  "SwitchgearLogLost 1": /switchgear-0 +1\/1 +Running/,
  "SwitchgearLogLost 2": /pod "switchgear-0" deleted/,
  "SwitchgearSeriesMissing 1": /configmap\/switchgear (?:configured|unchanged)[\s\S]*restarted/,
  "SwitchgearWatchdog 1": /pod "prometheus-main-0" deleted/,
};

/** Of several replicas: given where there are some, in `fleet-story.ts`. */
export const FLEET_SHOWS: Shows = {
  "CircuitBreakerFleetSplit 1": /switchgear-\S+ +1\/1 +Running[\s\S]*kind: redis/,
  "CircuitBreakerFleetSplit 2": /deleted[\s\S]*successfully rolled out/,
};

/** In a row, in one shell: the ways in. */
const WAYS_IN = ["README 1", "README 2", "README 3"];

const CRASH: Shows = {
  "SwitchgearDown 1": /^Events:[\s\S]*"level":/m,
};

const REFUSED: Shows = {
  "SwitchgearConfigRejected 1": /configuration refused/,
  "SwitchgearConfigRejected 2": /configmap\/switchgear configured/,
};

export async function runbooksStory(world: World): Promise<void> {
  const { checks, cluster } = world;
  const gateway = new Gateway(world, TRADING);
  const blocks = kubectlBlocks();
  const config = join(cluster.folder, "switchgear.yaml");
  const env = {
    NAMESPACE: TRADING,
    MONITORING_NAMESPACE: MONITORING,
    POD,
    SWITCHGEAR_CONFIG: config,
    KUBE_EDITOR: "sed -i -e 's/deadlineMs: 2/deadlineMs: 12/'",
  };
  const run = async (name: string, shows: RegExp, more = {}): Promise<void> => {
    const { commands = "" } = blocks.get(name) ?? {};
    const shown = await cluster.show(["bash", "-euo", "pipefail", "-c", commands], {
      env: { ...env, ...more },
    });
    assert.equal(shown.code, 0, `${name}: ${shown.stderr}${shown.stdout}`);
    assert.match(shown.stdout, shows, `${name} shows ${shown.stdout}${shown.stderr}`);
  };
  const runAll = async (some: Shows, after: () => Promise<unknown> = async () => {}) => {
    const done = new Set<string>();
    for (const [name, shows] of Object.entries(some)) {
      // Where pages tell the same commands, they are given once.
      const { commands = "" } = blocks.get(name) ?? {};
      if (done.has(commands)) continue;
      done.add(commands);
      const pod = name.startsWith("SwitchgearWatchdog") ? { POD: "prometheus-main-0" } : {};
      await run(name, shows, pod);
      await after();
    }
  };

  await checks.check("ways in: port-forwards, the token, and everything answers", async () => {
    await waysIn(world, blocks, env);
  });
  await checks.check("commands that look", () => runAll(LOOKS));
  await checks.check(
    "commands that edit the configuration, which the gateway takes by itself",
    async () => {
      for (const [name, shows] of Object.entries(EDITS)) {
        await run(name, shows);
        await run(name, shows, { KUBE_EDITOR: "sed -i -e 's/deadlineMs: 12/deadlineMs: 2/'" });
      }
    },
  );
  await checks.check("a process that has crashed is seen to have", async () => {
    await cluster.run(["kill", "-KILL", await processOf(world, POD)]);
    await world.until("it runs again", async () => {
      const status =
        "{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}";
      const shown = await world.kubectl(
        "-n",
        TRADING,
        "get",
        "pod",
        POD,
        "-o",
        `jsonpath=${status}`,
      );
      return /^[1-9]\d* true$/.test(shown) || undefined;
    });
    await runAll(CRASH);
  });
  await checks.check(
    "a configuration that is refused is told, and put right without a restart",
    async () => {
      const jsonpath = "jsonpath={.data.switchgear\\.yaml}";
      const asked = words(`-n ${TRADING} get configmap switchgear -o ${jsonpath}`);
      const good = await world.kubectl(...asked);
      writeFileSync(config, good);
      const bad = {
        data: { "switchgear.yaml": good.replace("http://draftkings", "ftp://draftkings") },
      };
      const patch = ["patch", "configmap", "switchgear", "--type=merge", "-p", JSON.stringify(bad)];
      await world.kubectl("-n", TRADING, ...patch);
      const reloaded = async (value: number): Promise<true | undefined> => {
        const { body } = await gateway.admin("/metrics");
        return body.includes(`\nswitchgear_config_last_reload_successful ${value}\n`) || undefined;
      };
      await world.until("the gateway refuses it", () => reloaded(0));
      await runAll(REFUSED);
      await world.until("the gateway takes it", () => reloaded(1));
    },
  );
  await checks.check("commands that replace the pod: it serves after each", () =>
    runAll(REPLACEMENTS, async () => {
      await world.kubectl(
        "-n",
        TRADING,
        "rollout",
        "status",
        "statefulset/switchgear",
        "--timeout=120s",
      );
      await gateway.answers("/draftkings/odds", 200);
    }),
  );
}

/** Those that the story gives. */
export function namedBlocks(): string[] {
  const tables = [LOOKS, EDITS, REPLACEMENTS, CRASH, REFUSED, FLEET_SHOWS];
  return [...tables.flatMap((some) => Object.keys(some)), ...WAYS_IN];
}

/** By page and place, from 1. */
export function kubectlBlocks(): Map<string, Block> {
  return new Map(
    pageNames().flatMap((page) =>
      readPage(page)
        .blocks.filter(({ tag }) => tag === "kubectl")
        .map((block, at) => [`${page} ${at + 1}`, block] as const),
    ),
  );
}

/** As an engineer's shell: what is forwarded ends with it. */
async function waysIn(
  { cluster }: World,
  blocks: ReadonlyMap<string, Block>,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const answers = readPage("README").blocks.find(
    ({ section, tag }) => section === "Ways in" && tag === "",
  );
  const script = [
    "trap 'kill $(jobs -p)' EXIT",
    ...WAYS_IN.map((name) => blocks.get(name)?.commands ?? "exit 1"),
    "for port in 9464 9090 9093; do until curl -s -o /dev/null http://127.0.0.1:$port; do sleep 0.2; done; done",
    answers?.commands ?? "exit 1",
    'echo "token of ${#SWITCHGEAR_ADMIN_TOKEN}"',
  ].join("\n");
  const shown = await cluster.show(["bash", "-euo", "pipefail", "-c", script], { env });
  assert.equal(shown.code, 0, shown.stderr + shown.stdout);
  for (const port of [9464, 9090, 9093]) {
    assert.match(shown.stdout, new RegExp(`^200 http://127\\.0\\.0\\.1:${port}$`, "m"));
  }
  assert.match(shown.stdout, /^token of 40$/m);
}
