// docs/fleet.md as a newcomer reads it: its command, its configurations and its program are run as they stand there.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig } from "../../src/config/load.ts";
import type { Switchgear } from "../../src/index.ts";
import { blocksOf, load, programsOf } from "../support/docs.ts";
import { ROOT, start, type Ended } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";
import { whyNoRedis } from "../tools/redis.ts";

const PAGE = "docs/fleet.md";
const skip = whyNoRedis();
// The command starts its gateways on Node whatever runs the tests; once is enough.
const skipCommand = skip || ("Bun" in globalThis && "it is run under Node");

test(
  "the printed commands show what the page shows, and Ctrl-C ends it",
  { skip: skipCommand },
  async (t) => {
    assert.match(programsOf(PAGE, "sh")[0] ?? "", /^make fleet /m);
    const fleet = start([process.execPath, join(ROOT, "scripts/fleet.ts")]);
    // It ends what it has started.
    t.after(() => fleet.child.kill("SIGTERM"));
    while (!fleet.stdout().includes("Ctrl-C")) {
      assert.equal(fleet.child.exitCode, null, fleet.stderr());
      await new Promise((done) => setTimeout(done, 50));
    }
    const command = (number: number): Promise<Ended> => {
      const line =
        fleet
          .stdout()
          .split("\n")
          .find((one) => one.startsWith(`  ${number}. `)) ?? "";
      return start(["bash", "-c", line.slice(line.indexOf(": ") + 2)]).ended;
    };

    const trip = await command(1);
    const [shown = ""] = programsOf(PAGE, "text");
    assert.ok(shown.includes(trip.stdout.trim()), trip.stdout + trip.stderr);
    const refused = await command(2);
    assert.match(refused.stdout, /^HTTP\/1\.1 503 [\s\S]*x-switchgear-reason: tripped/);
    assert.match((await command(3)).stdout, /gateway-2 +this one +draftkings +draftkings 1/);
    assert.match((await command(4)).stdout, /reset; in force on 2 of 2 replicas/);
    assert.match((await command(5)).stdout, /RESET \(forced\)[\s\S]*TRIP/);

    fleet.child.kill("SIGINT");
    assert.equal((await fleet.ended).code, 0);
  },
);

test("the configurations are taken", () => {
  const [store = "", share = ""] = programsOf(PAGE, "yaml");
  const read = (text: string) => parseConfig(text, { file: "switchgear.yaml", env: {} });

  const { store: redis } = read(`${store}\nupstreams: { a: { url: "http://h" } }`);
  assert.equal(redis.kind, "redis");
  assert.deepEqual(read(share).upstreams["fanduel"]?.share, { quorum: 2 });
});

test("the program joins the fleet", { skip }, async (t) => {
  const redis = await startRedis(t);
  const [program = ""] = blocksOf(PAGE).flatMap(({ language, text }) =>
    language === "js" ? [text] : [],
  );
  const own = program.replace("redis://127.0.0.1:6379", redis.url);
  const { gear } = await load<{ gear: Switchgear }>(own, "export { gear };");
  t.after(() => gear.close());

  assert.equal(gear.fleet?.isSynced, true);
  assert.equal(gear.upstream("draftkings").isTripped, false);
});
