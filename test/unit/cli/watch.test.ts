import assert from "node:assert/strict";
import { test } from "node:test";
import { bookmakerView } from "../../../src/admin/views.ts";
import { statusSchema, type Status } from "../../../src/cli/breaker-commands.ts";
import { screenOf } from "../../../src/cli/watch.ts";
import { createSwitchgear, latching, type Switchgear } from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

const clock = new VirtualClock();

function gearOf(...names: readonly string[]): Switchgear {
  const upstreams = Object.fromEntries(names.map((name) => [name, { breaker: latching() }]));
  return createSwitchgear({ upstreams, clock });
}

function statusesOf(gear: Switchgear): Status[] {
  const views: unknown = JSON.parse(JSON.stringify(gear.statuses().map(bookmakerView)));
  return statusSchema.array().parse(views);
}

const ESCAPE = "\u001B";
const PLAIN = { columns: 80, rows: 24, hasColour: false };
/** What a terminal shows: after the clearing. */
const linesOf = (screen: string): string[] => screen.slice(screen.indexOf("2J") + 2).split("\n");

test("what is tripped stands first, then what is in another mode, in eighty columns", () => {
  const gear = gearOf("alpha", "beta", "gamma".repeat(30));
  gear.upstream("gamma".repeat(30)).trip({ actor: "ann", reason: "x" });
  gear.upstream("beta").setMode({ mode: "shadow", actor: "ann", reason: "x" });
  const lines = linesOf(screenOf(statusesOf(gear), clock.now() + 5000, PLAIN));
  assert.match(lines[0] ?? "", /^\d{4}-.+Z {2}1 of 3 tripped$/);
  assert.match(lines[2] ?? "", /^NAME +STATE +FOR +FAILURES +IN FLIGHT$/);
  assert.match(lines[3] ?? "", /^gammagamma.+ OPEN by hand +5 s /);
  assert.match(lines[4] ?? "", /^beta +closed \(shadow\)/);
  assert.match(lines[5] ?? "", /^alpha +closed /);
  assert.ok(lines.every((line) => line.length <= 80));
});

test("on a small terminal it says how many more there are", () => {
  const gear = gearOf(...Array.from({ length: 200 }, (_, n) => `bookmaker-${n}`));
  const lines = linesOf(screenOf(statusesOf(gear), clock.now(), { ...PLAIN, rows: 24 }));
  assert.ok(lines.length <= 24);
  assert.equal(lines.at(-2), "… and 181 more");
});

test("colour where the terminal has it, and then for what is not well alone", () => {
  const gear = gearOf("alpha", "beta");
  gear.upstream("alpha").trip({ actor: "ann", reason: "x" });
  const lines = linesOf(screenOf(statusesOf(gear), clock.now(), { ...PLAIN, hasColour: true }));
  assert.ok(lines[3]?.startsWith(`${ESCAPE}[31malpha`) && lines[3].endsWith(`${ESCAPE}[0m`));
  assert.equal(lines[4]?.includes(ESCAPE), false);
});

test("a name cannot move the cursor", () => {
  const gear = gearOf(`evil${ESCAPE}[2Jname`);
  const [, , , row = ""] = linesOf(screenOf(statusesOf(gear), clock.now(), PLAIN));
  assert.equal(row.includes(ESCAPE), false);
  assert.match(row, /name/);
});

test("a server that stopped answering is said in its place", () => {
  assert.match(
    screenOf("no Switchgear answers", clock.now(), PLAIN),
    /\n\nno Switchgear answers\n$/,
  );
});
