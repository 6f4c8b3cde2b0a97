// The gateway beside Hyper-Bun: a protected call, a trip by real failures, and a tripped breaker that outlives
// whatever a cluster does to its pod.

import assert from "node:assert/strict";
import { Gateway } from "./gateway.ts";
import { HYPER_BUN, TRADING } from "./neighbours.ts";
import { hears, incidentsOf, openIncident } from "./pages.ts";
import type { World } from "./world.ts";

export const POD = "switchgear-0";
const DRAFTKINGS = `${TRADING}/draftkings`;

export async function hyperBunStory(world: World): Promise<void> {
  const { checks } = world;
  const gateway = new Gateway(world, TRADING);
  await checks.check("a call through the Service reaches the bookmaker", () =>
    gateway.isClosed("draftkings"),
  );
  await checks.check("Hyper-Bun's probe of a bookmaker goes through the gateway", async () => {
    const before = await world.served(DRAFTKINGS);
    const { status, body } = await world.ask(HYPER_BUN, "/api/probe/draftkings", "-X", "POST");
    assert.equal(status, 200, body);
    assert.equal((JSON.parse(body) as { overallHealth: number }).overallHealth, 1);
    assert.equal(await world.served(DRAFTKINGS), before + 4);
  });
  await checks.check("its drop-in knows the bookmaker, and its metrics say so", async () => {
    const { body } = await world.ask(HYPER_BUN, "/api/metrics");
    assert.match(body, /^circuit_breaker_tripped\{bookmaker="draftkings"\} 0$/m);
  });
  await checks.check("ten failures of draftkings trip it: the eleventh call costs no request", () =>
    gateway.trip("draftkings"),
  );
  await checks.check(
    "Hyper-Bun's calls of it are refused, and those of fanduel go through",
    async () => {
      const refused = await world.ask(HYPER_BUN, "/api/darkpool/draftkings/m1", "-X", "POST");
      assert.match(refused.body, /HTTP 503/);
      const other = await world.ask(HYPER_BUN, "/api/darkpool/fanduel/m1", "-X", "POST");
      assert.equal((JSON.parse(other.body) as { success: boolean }).success, true, other.body);
    },
  );
}

/** Each leaves the breaker as tripped as before. Answers the key of the page that there was all the while. */
export async function survivalStory(world: World, upgrade: readonly string[]): Promise<string> {
  const { checks, cluster } = world;
  const gateway = new Gateway(world, TRADING);
  const uid = (): Promise<string> =>
    world.kubectl("-n", TRADING, "get", "pod", POD, "-o", "jsonpath={.metadata.uid}");
  const ready = (): Promise<string> =>
    world.kubectl("-n", TRADING, "rollout", "status", "statefulset/switchgear", "--timeout=120s");
  const stays = async (): Promise<void> => {
    await ready();
    await gateway.answers("/draftkings/odds", 503, "tripped");
    await gateway.answers("/fanduel/odds", 200);
  };

  await checks.check("a killed process: the breaker is tripped still", async () => {
    const jsonpath = "jsonpath={.status.containerStatuses[0].restartCount}";
    const restarts = (): Promise<string> =>
      world.kubectl("-n", TRADING, "get", "pod", POD, "-o", jsonpath);
    assert.equal(await restarts(), "0");
    await cluster.run(["kill", "-KILL", await processOf(world, POD)]);
    await world.until(
      "the container is started again",
      async () => (await restarts()) === "1" || undefined,
    );
    await stays();
  });
  await checks.check(
    "a deleted pod: its successor finds the volume, and is tripped still",
    async () => {
      const before = await uid();
      await world.kubectl(
        "-n",
        TRADING,
        "delete",
        "pod",
        POD,
        "--wait=false",
        "--force",
        "--grace-period=0",
      );
      await world.until("another pod", async () => ((await uid()) === before ? undefined : true));
      await stays();
    },
  );
  await checks.check("helm upgrade that replaces the pod: tripped still", async () => {
    const before = await uid();
    await world.helm("upgrade", ...upgrade, "--set", "podAnnotations.example/revision=two");
    assert.notEqual(await uid(), before);
    await stays();
  });
  await checks.check("helm rollback: tripped still", async () => {
    const before = await uid();
    await world.helm("rollback", "switchgear", "--namespace", TRADING, "--wait", "--timeout=120s");
    assert.notEqual(await uid(), before);
    await stays();
  });
  const key = await checks.check(
    "all the while there is one page, and nobody is woken again",
    async () => {
      const { key, triggers } = await openIncident(world, "draftkings");
      assert.deepEqual(
        triggers.map(({ payload }) => payload?.severity),
        ["critical"],
      );
      const incidents = await incidentsOf(world, "draftkings");
      assert.equal(incidents.filter((one) => one.resolvedAtMs === undefined).length, 1);
      return key;
    },
  );
  await checks.check("the node loses its power and comes up again: tripped still", async () => {
    await cluster.cut();
    await cluster.start();
    await stays();
  });
  // An Alertmanager that has lost its memory with its node, and hears first of the end, tells nobody of it.
  await checks.check(
    "Alertmanager tells of the page again, by the same key: PagerDuty wakes nobody",
    () => hears(world, "trigger", key),
  );
  await checks.check("the history knows one trip, and an order resets it", async () => {
    const history = await gateway.command(POD, "history", "draftkings");
    assert.equal(history.match(/ TRIP +system /g)?.length, 1, history);
    await gateway.command(POD, "reset", "draftkings", "--reason", "it is back", "--force");
    await gateway.isClosed("draftkings");
  });
  return key;
}

/** Its number in the node, as containerd has it. */
export async function processOf(world: World, pod: string): Promise<string> {
  const jsonpath = "jsonpath={.status.containerStatuses[0].containerID}";
  const id = await world.kubectl("-n", TRADING, "get", "pod", pod, "-o", jsonpath);
  const tasks = await world.cluster.run(["ctr", "-n", "k8s.io", "task", "ls"]);
  const [, pid = ""] =
    new RegExp(`^${id.replace("containerd://", "")}\\s+(\\d+)`, "m").exec(tasks) ?? [];
  return pid;
}
