// What may become of the server and of replicas, one after the other. Calls go on meanwhile, and each is measured.

import { nowMs, replicasOf } from "./crew.ts";
import { measureCost } from "./orders.ts";
import { sleep } from "./report.ts";
import { startWatched, type Redis } from "./servers.ts";
import { Namespace } from "./namespace.ts";
import { Stage, UPSTREAMS } from "./stage.ts";
import type { Report } from "./report.ts";

const [UP, OTHER, THIRD] = UPSTREAMS;
const FAULT_MS = 4000;
const SETTLED_MS_MAX = 30_000;
const VICTIMS = 3;

export async function serverStandsStill(stage: Stage, redis: Redis): Promise<void> {
  const { crew, report } = stage;
  report.heading("A server that stands still (SIGSTOP)");
  await crew.close(UP);
  redis.kill("SIGSTOP");
  await measureCost(stage, "standing still");
  const given = crew.give(UP, "trip");
  await stage.calling("the server stands still", () => sleep(FAULT_MS));
  redis.kill("SIGCONT");
  await stage.claimInForce(
    given,
    nowMs(),
    "an order given meanwhile is in force everywhere once it goes on",
  );
}

export async function serverIsKilled(stage: Stage, redis: Redis): Promise<void> {
  const { crew, report } = stage;
  report.heading("A server that is killed (SIGKILL), and comes back empty");
  await crew.close(OTHER);
  redis.kill("SIGKILL");
  await measureCost(stage, "away");
  const given = crew.give(OTHER, "trip");
  await stage.calling("the server is away", () => sleep(FAULT_MS));
  await redis.start();
  await stage.claimInForce(
    given,
    nowMs(),
    "an order given meanwhile is in force everywhere once it is back",
  );
  await stage.claimStillTripped(UP, "nobody was unlatched by the empty server");
}

export async function replicasStandStill(stage: Stage): Promise<void> {
  const { crew, report } = stage;
  const victims = crew.members.slice(0, VICTIMS);
  const others = crew.members.slice(VICTIMS);
  const [from = ""] = replicasOf(others);
  report.heading(`Replicas that stand still (SIGSTOP of ${victims.length} processes)`);
  await crew.close(THIRD);
  for (const victim of victims) victim.kill("SIGSTOP");
  const act = async (): Promise<void> => {
    const startMs = nowMs();
    const given = crew.give(THIRD, "trip", { from, on: replicasOf(others) });
    await stage.claimInForce(given, startMs, "an order is in force on all others meanwhile");
    await sleep(FAULT_MS);
  };
  await stage.calling("some replicas stand still", act, others);
  for (const victim of victims) victim.kill("SIGCONT");
  await stage.claimSettled(THIRD, true, SETTLED_MS_MAX, "and on those once they go on");
}

export async function replicasAreKilled(
  stage: Stage,
  add: (index: number) => Promise<unknown>,
): Promise<void> {
  const { crew, report } = stage;
  report.heading("Replicas that are killed (SIGKILL), and begin anew");
  const victims = crew.members.slice(0, VICTIMS);
  for (const victim of victims) {
    victim.kill("SIGKILL");
    crew.remove(victim);
  }
  await stage.calling("some replicas are gone", () => sleep(FAULT_MS));
  for (const [index] of victims.entries()) await add(index);
  await stage.claimStillTripped(UP, "they begin with what was tripped");
  await stage.claimStillTripped(OTHER, "and with what an emptied server got back from the others");
  const startMs = nowMs();
  await stage.claimInForce(crew.give(UP, "reset"), startMs, "and obey the next order");
}

interface Smaller {
  readonly processes: number;
  readonly each: number;
  readonly ports: readonly number[];
  readonly folder: string;
}

/** A master that hangs: its follower is made the master, and the old one comes back and learns of it. */
export async function sentinelsFailOver(report: Report, of: Smaller): Promise<void> {
  const { processes, each, ports, folder } = of;
  const stage = new Stage(report, "watched", each);
  const { crew } = stage;
  report.heading(
    `Sentinels that fail over: two servers, three of them, ${processes * each} replicas`,
  );
  const watched = await startWatched(ports, folder);
  try {
    const server = { sentinel: watched.options };
    for (let index = 0; index < processes; index += 1) await stage.add(index, server);
    await stage.measureWell();
    await crew.order(UP, "trip");
    const before = watched.masterPort();
    const master = watched.servers.find(({ port }) => port === before);
    master?.kill("SIGSTOP");
    const stoppedMs = nowMs();
    const given = crew.give(OTHER, "trip");
    await stage.calling("the master hangs", () => sleep(2 * FAULT_MS));
    await stage.claimInForce(
      given,
      stoppedMs,
      "an order given while the master hangs is in force everywhere, by the new one",
    );
    report.claim(watched.masterPort() !== before, "the follower is the master now");
    await stage.claimStillTripped(UP, "nobody was unlatched by it");

    master?.kill("SIGCONT");
    const backMs = nowMs();
    await stage.claimInForce(
      crew.give(THIRD, "trip"),
      backMs,
      "an order given when the old master is back is in force everywhere",
    );
    await sleep(FAULT_MS);
    for (const name of [UP, OTHER, THIRD]) {
      await stage.claimStillTripped(name, `${name} is tripped everywhere a while later`);
    }
  } finally {
    await stage.end();
    await watched.stop();
  }
}

/** Some replicas that reach neither the server nor the others, and orders on both sides. */
export async function someAreCutOff(
  report: Report,
  start: (options: readonly string[]) => Promise<Redis>,
  { processes, each }: Pick<Smaller, "processes" | "each">,
): Promise<void> {
  const cutOff = Math.max(1, Math.floor(processes / 3));
  const replicas = `${cutOff * each} of ${processes * each} replicas`;
  report.heading(
    `Replicas that are cut off: ${replicas} in a network namespace whose link is down`,
  );
  const why = Namespace.whyNot();
  if (why !== false) {
    report.note(`left out: ${why}`);
    return;
  }
  const namespace = new Namespace();
  const stage = new Stage(report, "cut", each);
  const { crew } = stage;
  let redis: Redis | undefined;
  try {
    namespace.make();
    const { address, within } = namespace;
    redis = await start(["--bind", "127.0.0.1", address, "--protected-mode", "no"]);
    const { port } = redis;
    const here = { url: `redis://127.0.0.1:${port}` };
    const there = { url: `redis://${address}:${port}` };
    for (let index = cutOff; index < processes; index += 1) await stage.add(index, here);
    const near = [...crew.members];
    for (let index = 0; index < cutOff; index += 1) await stage.add(index, there, within);
    const far = crew.members.slice(near.length);
    const [fromNear = ""] = replicasOf(near);
    const [fromFar = ""] = replicasOf(far);
    await stage.measureWell();

    namespace.cut();
    const act = async (): Promise<void> => {
      const startMs = nowMs();
      const given = crew.give(UP, "trip", { from: fromNear, on: replicasOf(near) });
      await stage.claimInForce(given, startMs, "an order on this side is in force on all of it");
      const alone = crew.give(OTHER, "trip", { from: fromFar, on: [fromFar] });
      await stage.claimInForce(
        alone,
        nowMs(),
        "an order on the other side is in force where it was given",
      );
      await sleep(2 * FAULT_MS);
    };
    await stage.calling("some are cut off", act);
    namespace.heal();
    await stage.claimSettled(
      UP,
      true,
      SETTLED_MS_MAX,
      "once the link is up this side's order is in force everywhere",
    );
    await stage.claimSettled(OTHER, true, SETTLED_MS_MAX, "and the other side's, too");
    const startMs = nowMs();
    await stage.claimInForce(crew.give(UP, "reset"), startMs, "and all obey the next order");
  } finally {
    await stage.end();
    await redis?.stop();
    namespace.remove();
  }
}
