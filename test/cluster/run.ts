// The chart on a real Kubernetes, whole: one node of its own, the operator, Hyper-Bun's stand-in beside it. Prints a
// line per check with seconds and ends with `N passed, N failed`. `--write` puts the run into docs/cluster-test.md;
// `--hold` leaves the cluster up until Ctrl-C; `--only NAME` tells some of the stories.

import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "../support/programs.ts";
import { toolPath } from "../tools/build.ts";
import { whyNoCluster, words } from "../tools/cluster/build.ts";
import { Cluster } from "../tools/cluster/cluster.ts";
import { differences, processesOf, traces } from "../tools/cluster/leftovers.ts";
import { configStory, takenBackStory, uninstallStory, valuesStory } from "./chart-story.ts";
import { Checks } from "./checks.ts";
import { docsStory, writeValues } from "./docs-story.ts";
import { fleetStory } from "./fleet-story.ts";
import { gatewayImage } from "./gateway-image.ts";
import { imageStory } from "./image-story.ts";
import { neighboursImage, toolImages } from "./images.ts";
import { monitoringStory } from "./monitoring.ts";
import { TRADING } from "./neighbours.ts";
import { allResolved, hears } from "./pages.ts";
import { runbooksStory } from "./runbooks-story.ts";
import { hyperBunStory, survivalStory } from "./trading-story.ts";
import { writeTranscript } from "./transcript.ts";
import { World } from "./world.ts";

const { values } = parseArgs({
  options: {
    write: { type: "boolean", default: false },
    hold: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
  },
});

const CHART = join(ROOT, "deploy/helm/switchgear");
/** As the chart asks for it when nobody says otherwise. */
const IMAGE = "registry.example/switchgear";

async function main(): Promise<boolean> {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly version: string;
  };
  const name = `${IMAGE}:${version}`;
  const image = gatewayImage(name, version);
  const images = toolImages();
  const folder = mkdtempSync(join(tmpdir(), "switchgear-cluster-"));
  const cluster = new Cluster(folder, [dirname(toolPath("helm"))]);
  const before = traces(cluster.group);
  const checks = new Checks(() => diagnosis(cluster));
  const world = new World(cluster, checks, name);
  const valuesFile = join(folder, "values.yaml");
  const release = [
    "switchgear",
    CHART,
    ...words(`-n ${TRADING} -f ${valuesFile} --wait --timeout=150s`),
  ];
  const isTold = (name: string): boolean => values.only.length === 0 || values.only.includes(name);
  const story = async (name: string, tell: () => Promise<void>): Promise<void> => {
    if (isTold(name)) await checks.story(name, tell);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void cluster.stop().then(() => process.exit(1)));
  }
  const start = async (): Promise<void> => {
    await checks.check(
      "etcd, API server, controllers, scheduler, kubelet, containerd, kube-proxy and DNS run",
      () => cluster.start([image.archive, neighboursImage(folder), ...images]),
    );
  };
  writeValues(valuesFile, 0, "trading.yaml");
  try {
    // What all others need.
    const isUp =
      (await checks.story("cluster", start)) &&
      (await checks.story("monitoring", () => monitoringStory(world))) &&
      (await checks.story("docs/kubernetes.md", () => docsStory(world, valuesFile)));
    if (isUp) {
      await story("image", () => imageStory(world, image));
      await story("fleet", () => fleetStory(world, CHART));
      await checks.story("the drill's end", () =>
        checks.check("its page has ended", () => allResolved(world)),
      );
      await story("Hyper-Bun", () => hyperBunStory(world));
      let key = "";
      await story("what a tripped breaker outlives", async () => {
        key = await survivalStory(world, release);
      });
      await story("configuration", () => configStory(world, release));
      await story("runbooks", async () => {
        await runbooksStory(world);
        await takenBackStory(world, release);
      });
      await story("values files", () => valuesStory(world, CHART));
      await story("the page's end", () =>
        checks.check("PagerDuty hears that it is over, by the same key", () =>
          hears(world, "resolve", key),
        ),
      );
      await story("uninstall", () => uninstallStory(world));
    }
    if (values.hold) {
      console.log(
        `held; enter with: ${cluster.inside("kubectl", "get", "pods", "--all-namespaces")}`,
      );
      await new Promise(() => {});
    }
  } finally {
    await cluster.stop();
  }
  await checks.story("leftovers", () =>
    checks.check("processes, mounts, links, control groups and settings are as before", () => {
      const left = [
        ...processesOf(folder, cluster.namespaces),
        ...differences(before, traces(cluster.group)),
      ];
      if (left.length > 0) throw new Error(left.join("\n"));
    }),
  );
  if (values.write && checks.failed === 0) await writeTranscript(checks.lines);
  console.log(`\n${checks.passed} passed, ${checks.failed} failed`);
  return checks.failed === 0;
}

/** What an engineer would ask first. */
async function diagnosis(cluster: Cluster): Promise<string> {
  const ask = async (...args: readonly string[]): Promise<string> =>
    (await cluster.show(["kubectl", ...args], { msMax: 20_000 })).stdout;
  const pods = await ask("get", "pods", "--all-namespaces", "-o", "wide");
  const events = await ask("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp");
  return `${pods}\n${events.split("\n").slice(-15).join("\n")}`;
}

const why = whyNoCluster();
if (why === false) {
  process.exitCode = (await main()) ? 0 : 1;
} else {
  // Who asked for it in CI wants to know it.
  const isWanted = (process.env["CI"] ?? "") !== "";
  console.log(`The cluster test is skipped. ${why}`);
  console.log(`0 passed, ${Number(isWanted)} failed`);
  process.exitCode = Number(isWanted);
}
