// The chart itself: every values file that it ships is installed, a changed configuration arrives without a restart
// where none is needed, and uninstalling leaves what it says.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Gateway } from "./gateway.ts";
import { PASSWORD, redisServer } from "./fleet-story.ts";
import { ROUTING_KEY } from "./monitoring.ts";
import { TRADING, bookmaker } from "./neighbours.ts";
import { asList, namespace } from "./objects.ts";
import { POD } from "./trading-story.ts";
import type { World } from "./world.ts";

export async function configStory(world: World, release: readonly string[]): Promise<void> {
  const { checks } = world;
  const gateway = new Gateway(world, TRADING);
  const uid = (): Promise<string> =>
    world.kubectl("-n", TRADING, "get", "pod", POD, "-o", "jsonpath={.metadata.uid}");
  const upgrade = (...values: readonly string[]): Promise<string> =>
    world.helm("upgrade", ...release, ...values.map((value) => `--set=${value}`));

  await checks.check("a bookmaker more, by helm upgrade: served without a restart", async () => {
    const before = await uid();
    assert.equal((await gateway.call("/pinnacle/odds")).status, 404);
    await upgrade("config.upstreams.pinnacle.url=http://fanduel:9101");
    await gateway.answers("/pinnacle/odds", 200);
    assert.equal(await uid(), before);
  });
  await checks.check(
    "a setting that waits for a restart: the pod is replaced, and has it",
    async () => {
      const before = await uid();
      await upgrade("config.gateway.maxBodyBytes=1024");
      assert.notEqual(await uid(), before);
      const body = [
        "-X",
        "POST",
        "-H",
        "content-type: text/plain",
        "--data-binary",
        "x".repeat(2000),
      ];
      const { status } = await gateway.call("/fanduel/odds", ...body);
      assert.equal(status, 413);
    },
  );
  await checks.check("a value that is wrong is refused, named, and changes nothing", async () => {
    const before = await uid();
    await assert.rejects(upgrade("config.upstreams.draftkings.deadlineMs=soon"), /deadlineMs/);
    await assert.rejects(upgrade("replicaCount=2"), /replicaCount/);
    assert.equal(await uid(), before);
    await gateway.isClosed("fanduel");
  });
}

/** What was changed by hand, as runbooks have it, is a conflict that Helm 4 names and does not write over unasked. */
export async function takenBackStory(world: World, release: readonly string[]): Promise<void> {
  const { checks } = world;
  await checks.check(
    "helm upgrade names what was changed by hand, and takes it back when told to",
    async () => {
      const upgrade = (...flags: readonly string[]): Promise<string> =>
        world.helm("upgrade", ...release, ...flags);
      await assert.rejects(upgrade(), /conflict with "kubectl[\s\S]*\.data\.switchgear\.yaml/);
      await upgrade("--force-conflicts");
      await upgrade();
      await new Gateway(world, TRADING).answers("/draftkings/odds", 200);
    },
  );
}

/** Each in a namespace of its own, in which `restricted` is enforced. */
export async function valuesStory(world: World, chart: string): Promise<void> {
  const { checks } = world;
  const files = readdirSync(join(chart, "ci")).filter((file) => file.endsWith(".yaml"));
  const install = (file: string): Promise<void> => {
    const place = `values-${files.indexOf(file)}`;
    return checks.check(`ci/${file} is installed, and is Ready`, async () => {
      await world.apply(asList([namespace(place), ...surroundings(place)]));
      const flags = ["--namespace", place, "--wait", "--timeout=150s"];
      await world.helm(
        "install",
        "switchgear",
        chart,
        ...flags,
        "--values",
        join(chart, "ci", file),
      );
      await world.helm("uninstall", "switchgear", "--namespace", place);
      await world.kubectl("delete", "namespace", place, "--wait=false");
    });
  };
  // Each waits more than it works.
  const left = files.toSorted();
  const work = async (): Promise<void> => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) await install(file);
  };
  await Promise.all([work(), work(), work()]);
}

/** What the files name: a bookmaker, a Redis and Secrets. */
function surroundings(place: string): object[] {
  const secret = (name: string, stringData: object): object => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: place },
    stringData,
  });
  const redis = { username: "default", password: PASSWORD, url: "redis://redis:6379" };
  return [
    ...bookmaker("bookmaker", place),
    ...redisServer(place),
    secret("switchgear-redis", redis),
    secret("switchgear-pagerduty", { "routing-key": ROUTING_KEY }),
    ...["tickets", "second-channel", "dead-mans-switch"].map((name) =>
      secret(name, { url: "http://nobody.example/" }),
    ),
  ];
}

export async function uninstallStory(world: World): Promise<void> {
  const { checks } = world;
  await checks.check(
    "helm uninstall leaves the volume's claim, as NOTES says, and nothing else",
    async () => {
      await world.helm(
        "uninstall",
        "switchgear",
        "--namespace",
        TRADING,
        "--wait",
        "--timeout=120s",
      );
      const kinds = await world.kubectl(
        "api-resources",
        "--namespaced",
        "--verbs=list",
        "-o",
        "name",
      );
      // Events tell what was; endpoints are the cluster's own.
      const asked = kinds.split("\n").filter((kind) => kind !== "" && !kind.startsWith("events"));
      const left = async (): Promise<string[]> => {
        const flags = ["-l", "app.kubernetes.io/instance=switchgear", "--ignore-not-found"];
        const names = await world.kubectl(
          "-n",
          TRADING,
          "get",
          asked.join(),
          "-o",
          "name",
          ...flags,
        );
        return names.split("\n").filter((name) => name !== "");
      };
      await world.until("the pod is gone", async () => {
        const names = await left();
        assert.deepEqual(names, ["persistentvolumeclaim/data-switchgear-0"]);
        return true;
      });
    },
  );
}
