// docs/kubernetes.md, command by command: from an empty cluster to a page, and back.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { ROOT } from "../support/programs.ts";
import { words } from "../tools/cluster/build.ts";
import { Gateway } from "./gateway.ts";
import { ROUTING_KEY } from "./monitoring.ts";
import { TRADING, neighbours } from "./neighbours.ts";
import { asList } from "./objects.ts";
import { openIncident } from "./pages.ts";
import type { World } from "./world.ts";

const PAGE = "docs/kubernetes.md";

/** What the page's commands are expected to show, in their order. */
const SHOWS: readonly RegExp[] = [
  /namespace\/trading created/,
  /secret\/switchgear-pagerduty created/,
  /STATUS: deployed/,
  /Phase: +Succeeded/,
  /^ *draftkings +latching +closed/m,
  /"bookmaker":"draftkings"[^}]*"job":"switchgear"[^}]*\},"value":\[[\d.]+,"0"\]/,
  /"name":"CircuitBreakerTripped"/,
  /Circuit breaker for draftkings tripped/,
  /"alertname":"CircuitBreakerTripped"/,
  /Circuit breaker for draftkings reset/,
];

/** Writes what one of the page's blocks says, and over it what only a test has, such as bookmakers of its own. */
export function writeValues(file: string, block: number, own: string): void {
  const blocks = [...readPage().matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(
    ([, text = ""]) => text,
  );
  const more = readFileSync(join(ROOT, "test/cluster/values", own), "utf8");
  writeFileSync(file, stringify(merged(parse(blocks[block] ?? ""), parse(more))));
}

function merged(one: unknown, other: unknown): unknown {
  if (!isMap(one) || !isMap(other)) return other;
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries(
    [...keys].map((key) => [key, key in other ? merged(one[key], other[key]) : one[key]]),
  );
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readPage(): string {
  return readFileSync(join(ROOT, PAGE), "utf8");
}

/** The commands of all blocks but the image's, which is built otherwise here. */
export function commandsOfPage(): string[] {
  return [...readPage().matchAll(/^```sh (\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, tag]) => tag !== "image")
    .flatMap(([, , text = ""]) => text.trim().split("\n"));
}

export async function docsStory(world: World, values: string): Promise<void> {
  const { checks, cluster } = world;
  const gateway = new Gateway(world, TRADING);
  const commands = commandsOfPage();
  const give = async (at: number): Promise<void> => {
    const command = (commands[at] ?? "").replace("values.yaml", values);
    const shown = await cluster.show(["bash", "-euo", "pipefail", "-c", command], {
      cwd: ROOT,
      env: { PAGERDUTY_ROUTING_KEY: ROUTING_KEY },
    });
    assert.equal(shown.code, 0, `${command}: ${shown.stderr}${shown.stdout}`);
    assert.match(shown.stdout, SHOWS[at] ?? /never/, `${command}\nshows ${shown.stdout}`);
  };
  const step = (at: number, note = ""): Promise<void> =>
    checks.check(`$ ${commands[at]}${note}`, () => give(at));
  /** What the page says to wait for. */
  const patiently = (at: number): Promise<void> =>
    checks.check(`$ ${commands[at]}`, async () => {
      await world.until(commands[at] ?? "", async () => {
        await give(at);
        return true;
      });
    });

  await step(0);
  await checks.check(
    "neighbours: two bookmakers and Hyper-Bun, where `restricted` is enforced",
    async () => {
      await world.apply(asList(neighbours()));
      for (const name of ["draftkings", "fanduel", "hyper-bun"]) {
        await world.kubectl(
          ...words(`-n ${TRADING} rollout status deployment/${name} --timeout=120s`),
        );
      }
      const plain = words(`-n ${TRADING} run plain --image=${world.image} --restart=Never`);
      await assert.rejects(world.kubectl(...plain), /violates PodSecurity "restricted/);
    },
  );
  for (const at of [1, 2, 3, 4]) await step(at);
  await checks.check("a call from the node through the Service", () =>
    gateway.isClosed("draftkings"),
  );
  for (const at of [5, 6]) await patiently(at);
  await step(7);
  await checks.check("the call is refused", () => gateway.isTripped("draftkings"));
  await patiently(8);
  await checks.check("PagerDuty is told once: somebody is woken", async () => {
    const { triggers } = await openIncident(world, "draftkings");
    assert.equal(triggers.length, 1);
  });
  await step(9);
  await checks.check("calls go through again", () => gateway.isClosed("draftkings"));
}
