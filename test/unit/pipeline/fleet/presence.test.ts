// Who else is there, as each beat tells.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PRISTINE_LATCHING } from "../../../../src/core/breaker/snapshot.ts";
import type { Persisted } from "../../../../src/pipeline/breaker/persisted.ts";
import { BEAT_MS, GONE_MS, Presence } from "../../../../src/pipeline/fleet/presence.ts";
import type { FleetStore, ReplicaView } from "../../../../src/pipeline/fleet-port.ts";
import { VirtualClock } from "../../../../src/testing/index.ts";
import { TestFleet } from "./fleet-harness.ts";

interface Beats {
  readonly clock: VirtualClock;
  readonly presence: Presence;
  readonly shown: ReplicaView["breakers"][];
  readonly failures: unknown[];
  heard: number;
  /** What the next beat answers. */
  answer: () => Promise<readonly ReplicaView[]>;
}

function beatsOf(breakers: readonly Persisted[] = [], versions = new Map<string, number>()) {
  const clock = new VirtualClock();
  const { link } = new TestFleet().start("me");
  const store: FleetStore = link;
  const beats: Omit<Beats, "presence"> = {
    clock,
    shown: [],
    failures: [],
    heard: 0,
    answer: () => Promise.resolve([]),
  };
  store.present = (view) => {
    beats.shown.push(view);
    return beats.answer();
  };
  const presence = new Presence({
    store,
    replica: "me",
    scheduler: clock,
    random: { next: () => 0.5 },
    breakers: () => breakers,
    versionOf: (name) => versions.get(name) ?? 0,
    heard: () => (beats.heard += 1),
    failed: (error) => void beats.failures.push(error),
  });
  return Object.assign(beats, { presence });
}

function breaker(name: string, isTripped = false, mode: Persisted["mode"] = "normal"): Persisted {
  return {
    name,
    isTripped,
    mode,
    isSaved: true,
    reporters: 1,
    probesAt: null,
    epoch: 0,
    postpone: () => {},
    toStored: () => ({ upstream: name, mode, snapshot: PRISTINE_LATCHING }),
    saved: () => {},
    notSaved: () => {},
    takeOver: () => {},
    takeMode: () => {},
    announce: () => {},
  };
}

function view(replica: string, ageMs: number): ReplicaView {
  return { replica, ageMs, breakers: {} };
}

async function atRest(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
}

test("beats every few seconds, whatever becomes of a beat, until it is closed", async () => {
  const beats = beatsOf();
  const { clock, presence, shown } = beats;
  presence.start();
  clock.advance(BEAT_MS - 1);
  assert.equal(shown.length, 0);
  clock.advance(1);
  await atRest();
  assert.deepEqual([shown.length, beats.heard], [1, 1]);
  beats.answer = () => Promise.reject(new Error("away"));
  clock.advance(BEAT_MS);
  await atRest();
  assert.deepEqual([shown.length, beats.heard, beats.failures.length], [2, 1, 1]);
  clock.advance(BEAT_MS);
  await atRest();
  assert.equal(shown.length, 3);
  presence.close();
  await presence.beat();
  clock.advance(BEAT_MS);
  assert.deepEqual([shown.length, clock.pendingTimers], [3, 0]);
});

test("a beat under way when it is closed is the last one", async () => {
  const beats = beatsOf();
  const { clock, presence } = beats;
  let answer: ((views: ReplicaView[]) => void) | undefined;
  beats.answer = () => new Promise((done) => (answer = done));
  presence.start();
  clock.advance(BEAT_MS);
  presence.close();
  answer?.([]);
  await atRest();
  assert.equal(clock.pendingTimers, 0);
});

test("knows those that were heard of lately, itself first, then by name", async () => {
  const beats = beatsOf([breaker("dk", true)]);
  const { clock, presence } = beats;
  const views = [view("z", 0), view("me", 900), view("b", GONE_MS - 1000), view("c", GONE_MS + 1)];
  beats.answer = () => Promise.resolve(views);
  assert.deepEqual(presence.names(), ["me"]);
  clock.advance(777);
  await presence.beat();
  assert.deepEqual(presence.names(), ["me", "b", "z"]);
  const [own] = presence.replicas();
  assert.deepEqual([own?.ageMs, Object.keys(own?.breakers ?? {})], [0, ["dk"]]);
  clock.advance(1000);
  assert.deepEqual(presence.names(), ["me", "b", "z"]);
  assert.equal(presence.replicas()[1]?.ageMs, GONE_MS);
  clock.advance(1);
  assert.deepEqual(presence.names(), ["me", "z"]);
});

test("shows what differs from a new breaker, and so many at the most", async () => {
  const all = [
    breaker("new"),
    breaker("tripped", true),
    breaker("shadow", false, "shadow"),
    breaker("known"),
    breaker("__proto__", true),
  ];
  const { presence, shown } = beatsOf(all, new Map([["known", 7]]));
  await presence.beat();
  assert.deepEqual(Object.entries(shown[0] ?? {}), [
    ["tripped", { tripped: true, mode: "normal", version: 0 }],
    ["shadow", { tripped: false, mode: "shadow", version: 0 }],
    ["known", { tripped: false, mode: "normal", version: 7 }],
    ["__proto__", { tripped: true, mode: "normal", version: 0 }],
  ]);

  const many = Array.from({ length: 300 }, (_, n) => breaker(`u${n}`, true));
  const crowded = beatsOf(many);
  await crowded.presence.beat();
  assert.equal(Object.keys(crowded.shown[0] ?? {}).length, 200);
});
