// Two replicas that share a Redis: they obey one order, and are replaced under load without a call being lost.

import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../support/programs.ts";
import { writeValues } from "./docs-story.ts";
import { words } from "../tools/cluster/build.ts";
import { NODE } from "./gateway-image.ts";
import { Gateway } from "./gateway.ts";
import { IMAGES } from "./images.ts";
import { bookmaker } from "./neighbours.ts";
import { asList, namespace, workload } from "./objects.ts";
import { FLEET_SHOWS, kubectlBlocks } from "./runbooks-story.ts";
import type { World } from "./world.ts";

const FLEET = "fleet";
const SELECTOR = "app.kubernetes.io/name=switchgear";
export const PASSWORD = "a-password-for-tests-only";

export async function fleetStory(world: World, chart: string): Promise<void> {
  const { checks } = world;
  const gateway = new Gateway(world, FLEET);
  const values = join(world.cluster.folder, "fleet.yaml");
  writeValues(values, 1, "fleet.yaml");
  const release = [
    "switchgear",
    chart,
    ...words(`--namespace ${FLEET} --wait --timeout=150s --values ${values}`),
  ];
  await checks.check("a Redis with a password, and two replicas that know each other", async () => {
    await world.apply(
      asList([
        namespace(FLEET),
        ...redisServer(FLEET),
        {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: "redis", namespace: FLEET },
          stringData: { password: PASSWORD },
        },
        ...bookmaker("draftkings", FLEET),
      ]),
    );
    await world.helm("install", ...release);
    await world.until("they have heard of each other", async () => {
      const { body } = await gateway.admin("/api/fleet");
      return (JSON.parse(body) as { replicas: unknown[] }).replicas.length === 2 || undefined;
    });
    await gateway.answers("/draftkings/odds", 200);
  });
  await checks.check("an order given to one is in force on both", async () => {
    const said = await gateway.command(
      await one(world),
      "trip",
      "draftkings",
      "--reason",
      "a drill",
    );
    assert.match(said, /in force on 2 of 2 replicas/);
    await eachAnswers(world, 503);
  });
  await checks.check("a replica that comes later obeys it, too", async () => {
    const [first = "", second = ""] = await world.pods(FLEET, SELECTOR);
    await world.kubectl("-n", FLEET, "delete", "pod", first, "--wait=false");
    await world.until("another replica is ready", async () => {
      const pods = await readyPods(world);
      return (pods.length === 2 && !pods.includes(first) && pods.includes(second)) || undefined;
    });
    await eachAnswers(world, 503);
  });
  await checks.check("and so it does a reset", async () => {
    await gateway.command(await one(world), "reset", "draftkings", "--reason", "over", "--force");
    await eachAnswers(world, 200);
  });
  await checks.check("ten failures that one replica has seen trip both", async () => {
    await world.tell(`${FLEET}/draftkings`, { status: 500 });
    const [first = ""] = await addresses(world);
    for (let n = 0; n < 10; n += 1) await world.ask(`${first}:8080`, "/draftkings/odds");
    await world.tell(`${FLEET}/draftkings`);
    await world.until(
      "both refuse",
      async () => (await statuses(world)).every((one) => one === 503) || undefined,
    );
    await gateway.command(await one(world), "reset", "draftkings", "--reason", "over", "--force");
    await eachAnswers(world, 200);
  });
  await checks.check("no more than one may be evicted at a time", async () => {
    const [first = "", second = ""] = await readyPods(world);
    await evict(world, first);
    await assert.rejects(evict(world, second), /disruption budget/);
    await world.until(
      "two are ready",
      async () => (await readyPods(world)).length === 2 || undefined,
    );
  });
  let lost = "";
  await checks.check("both are replaced under steady calls, and no call is lost", async () => {
    const before = await readyPods(world);
    const callers = await startCallers(world, await world.url(`${FLEET}/switchgear:8080`));
    await world.helm("upgrade", ...release, "--set", "podAnnotations.example/revision=two");
    const counts = await callers.end();
    lost = JSON.stringify(counts);
    assert.deepEqual(Object.keys(counts), ["200"], lost);
    assert.ok((counts["200"] ?? 0) > 100, lost);
    const after = await readyPods(world);
    assert.equal(after.length, 2);
    assert.ok(after.every((pod) => !before.includes(pod)));
  });
  await checks.check("the runbook's commands for a fleet that is split", async () => {
    const blocks = kubectlBlocks();
    for (const [name, shows] of Object.entries(FLEET_SHOWS)) {
      const { commands = "" } = blocks.get(name) ?? {};
      const env = { NAMESPACE: FLEET, POD: await one(world) };
      const shown = await world.cluster.show(["bash", "-euo", "pipefail", "-c", commands], { env });
      assert.equal(shown.code, 0, `${name}: ${shown.stderr}${shown.stdout}`);
      assert.match(shown.stdout, shows, name);
    }
  });
}

export function redisServer(namespace: string): object[] {
  return workload({
    name: "redis",
    namespace,
    image: IMAGES.redis,
    args: ["--save", "", "--bind", "0.0.0.0", "--requirepass", PASSWORD],
    ports: { redis: 6379 },
  });
}

async function one(world: World): Promise<string> {
  const [pod = ""] = await readyPods(world);
  return pod;
}

interface Pod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

async function podsOf(world: World): Promise<Pod[]> {
  const list = await world.kubectl("-n", FLEET, "get", "pods", "-l", SELECTOR, "-o", "json");
  return (JSON.parse(list) as { items: Pod[] }).items.filter(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined &&
      status.conditions?.some(({ type, status }) => type === "Ready" && status === "True"),
  );
}

async function readyPods(world: World): Promise<string[]> {
  return (await podsOf(world)).map(({ metadata }) => metadata.name);
}

async function addresses(world: World): Promise<string[]> {
  return (await podsOf(world)).map(({ status }) => status.podIP ?? "");
}

async function statuses(world: World): Promise<number[]> {
  const asked = (await addresses(world)).map((ip) => world.ask(`${ip}:8080`, "/draftkings/odds"));
  return (await Promise.all(asked)).map(({ status }) => status);
}

async function eachAnswers(world: World, status: number): Promise<void> {
  assert.deepEqual(await statuses(world), [status, status]);
}

async function evict(world: World, pod: string): Promise<void> {
  const eviction = {
    apiVersion: "policy/v1",
    kind: "Eviction",
    metadata: { name: pod, namespace: FLEET },
  };
  const path = `/api/v1/namespaces/${FLEET}/pods/${pod}/eviction`;
  await world.cluster.kubectl(["create", "--raw", path, "-f", "-"], {
    input: JSON.stringify(eviction),
  });
}

/** On the node, as callers in pods of it would be. */
async function startCallers(world: World, url: string) {
  const program = join(ROOT, "test/cluster/pods/callers.ts");
  const child = world.cluster.spawn([NODE, program, `${url}/draftkings/odds`], {}, "pipe");
  let output = "";
  const over = new Promise<void>((done) => child.once("close", () => done()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await new Promise<void>((done) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.startsWith("calling\n")) done();
    });
  });
  return {
    end: async (): Promise<Record<string, number>> => {
      child.stdin?.end();
      await over;
      return JSON.parse(output.replace("calling\n", "")) as Record<string, number>;
    },
  };
}
