// A store often fails before anybody can listen: inside of `createSwitchgear`. Whoever comes while it lasts is
// told, and nobody hears of a recovery without the failure before it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createSwitchgear, latching, memoryStore, StoreError } from "../../../src/index.ts";
import type { EventOf, Store, Switchgear } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { attachLogging } from "../../../src/telemetry/log/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { recordingLogger, type LogLine } from "../../support/hyper-bun.ts";

interface Rig {
  readonly gear: Switchgear;
  readonly clock: VirtualClock;
  /** By operation; what is thrown. */
  readonly failing: Map<string, Error>;
}

function rig(failing: Record<string, Error>, own: Partial<Store> = {}): Rig {
  const clock = new VirtualClock();
  const inner = memoryStore();
  const faults = new Map(Object.entries(failing));
  const fail = (op: string): void => {
    const fault = faults.get(op);
    if (fault !== undefined) throw fault;
  };
  const store: Store = {
    kind: "broken",
    location: "nowhere",
    durable: true,
    load: () => {
      fail("load");
      return [];
    },
    commit: (change) => {
      fail("commit");
      for (const { upstream } of change.breakers) fail(upstream);
      inner.commit(change);
    },
    history: (query) => {
      fail("history");
      return inner.history(query);
    },
    close: () => {},
    ...own,
  };
  const upstreams = { dk: { breaker: latching() }, fd: { breaker: latching() } };
  return { gear: createSwitchgear({ upstreams, store, clock }), clock, failing: faults };
}

function heard(gear: Switchgear): string[] {
  const told: string[] = [];
  gear.on("store-error", ({ op, code, upstream }) =>
    told.push([op, code, upstream].filter((part) => part !== undefined).join(" ")),
  );
  gear.on("store-recovered", () => told.push("recovered"));
  return told;
}

const full = new StoreError("SQLITE_FULL", "database or disk is full");
const gone = new StoreError("SQLITE_IOERR", "disk I/O error");

test("a store that fails from the start is in the log of whoever attaches one later", async () => {
  const clock = new VirtualClock();
  const store = sqliteStore("/proc/x/y.db");
  const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } }, store, clock });
  const lines: LogLine[] = [];
  attachLogging(gear, recordingLogger(lines));
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.level, "error");
  assert.match(lines[0]?.message ?? "", /Store load failed: .* Breakers go on from memory\./);
  await gear.close();
});

test("each who comes while it lasts is told once, and none who comes after it", () => {
  const { gear, clock, failing } = rig({ load: full });
  const first = heard(gear);
  clock.advance(100);
  const second = heard(gear);
  assert.deepEqual([first, second], [["load SQLITE_FULL"], ["load SQLITE_FULL"]]);

  failing.clear();
  clock.advance(60_000);
  const late = heard(gear);
  assert.deepEqual(
    [first, second, late],
    [["load SQLITE_FULL", "recovered"], ["load SQLITE_FULL", "recovered"], []],
  );
});

test("what comes later is told in its own time, to all alike", () => {
  const { gear, clock, failing } = rig({});
  const first = heard(gear);
  failing.set("commit", gone);
  gear.upstream("dk").record({ outcome: "failed" });
  const second = heard(gear);
  assert.deepEqual([first, second], [["commit SQLITE_IOERR"], ["commit SQLITE_IOERR"]]);
  clock.advance(20_000);
  assert.equal(first.length, 2);
  assert.deepEqual(second, first);
});

test("a trouble that begins is news, whatever was told of the history before", () => {
  const { gear, clock, failing } = rig({ history: full });
  const told = heard(gear);
  gear.history();
  gear.history();
  failing.set("commit", gone);
  gear.upstream("dk").record({ outcome: "failed" });
  failing.clear();
  clock.advance(1000);
  assert.deepEqual(told, ["history SQLITE_FULL", "commit SQLITE_IOERR", "recovered"]);
  assert.deepEqual(heard(gear), [], "a question that failed is over");
});

test("a state that is refused is told until the store takes it", () => {
  const refused = new StoreError("SQLITE_CONSTRAINT", "no dk", { concerns: "change" });
  const { gear, clock, failing } = rig({ dk: refused, fd: refused });
  gear.upstream("dk").trip({ reason: "maintenance" });
  gear.upstream("fd").trip({ reason: "maintenance" });
  assert.deepEqual(heard(gear), ["commit SQLITE_CONSTRAINT dk", "commit SQLITE_CONSTRAINT fd"]);
  failing.delete("dk");
  gear.upstream("dk").trip({ reason: "again" });
  assert.deepEqual(heard(gear), ["commit SQLITE_CONSTRAINT fd"]);
  failing.clear();
  clock.advance(60_000);
  assert.deepEqual(heard(gear), []);
});

test("rows that cannot be read at the start are told of, too", () => {
  const { gear } = rig({}, { load: () => [5 as never] });
  assert.deepEqual(heard(gear), ["load STORE_CONTRACT"]);
});

test("an audit that was refused is told once, to those who were there", () => {
  const refused = new StoreError("SQLITE_CONSTRAINT", "no audits", { concerns: "change" });
  const inner = memoryStore();
  const { gear } = rig(
    {},
    {
      commit: (change) => {
        if (change.audits.length > 0) throw refused;
        inner.commit(change);
      },
    },
  );
  const there = heard(gear);
  gear.upstream("dk").trip({ reason: "maintenance" });
  assert.deepEqual(there, ["commit SQLITE_CONSTRAINT dk"]);
  assert.deepEqual(heard(gear), []);
});

test("whom it hands an event may change it, throw, or leave at once", () => {
  const { gear } = rig({ load: full });
  const seen: EventOf<"store-error">[] = [];
  for (let n = 0; n < 2; n += 1) {
    gear.on("store-error", (event) => {
      seen.push({ ...event });
      Object.assign(event, { code: "MINE" });
      throw new Error("a listener's own");
    })();
  }
  assert.deepEqual(
    seen.map(({ code }) => code),
    ["SQLITE_FULL", "SQLITE_FULL"],
  );
  assert.equal(gear.counters().listenerErrors, 2);
});
